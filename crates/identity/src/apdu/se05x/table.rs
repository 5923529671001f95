//! The table of commands.

use super::{
    CommandSpec, Field, INS_AUTH, INS_TRANSIENT, TAG_1, TAG_2, TAG_3, TAG_4, TAG_5, TAG_6, TAG_7,
    TAG_MAX_ATTEMPTS, TAG_POLICY, TAG_SESSION, TAG_SIGNATURE, TAG_TIMESTAMP, rule,
};

macro_rules! commands {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $ins:literal $p1:literal $p2:literal,
        [$($tag:ident $need:ident $meaning:literal),* $(,)?] -> [$($rtag:ident $rneed:ident $rmeaning:literal),* $(,)?] $(=> $rule:expr)? $(, flags $flags:expr)?;)+) => {
        /// A command of the table.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Instruction { $($(#[$doc])* $variant),+ }

        impl Instruction {
            /// Every command, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The command's row.
            #[must_use]
            pub const fn spec(self) -> CommandSpec {
                match self {
                    $(Self::$variant => CommandSpec {
                        name: $name, ins: $ins, p1: $p1, p2: $p2,
                        request: &[$(Field { tag: $tag, meaning: $meaning, required: commands!(@ $need) }),*],
                        response: &[$(Field { tag: $rtag, meaning: $rmeaning, required: commands!(@ $rneed) }),*],
                        policy: 0 $(| ($rule))?,
                        flags: 0 $(| ($flags))?,
                    }),+
                }
            }
        }
    };
    (@ needs) => { true };
    (@ maybe) => { false };
}

commands! {
    /// Version of the applet.
    GetVersion = "GetVersion", 0x04 0x00 0x20, [] -> [TAG_1 needs "version information, 7 bytes"];
    /// Version with the extended feature bits.
    GetExtVersion = "GetExtVersion", 0x04 0x00 0x21, []
        -> [TAG_1 needs "version information, 7 bytes, and extended feature bits, 30 bytes"];
    /// Free memory.
    GetFreeMemory = "GetFreeMemory", 0x04 0x00 0x22, [TAG_1 needs "memory type, 1 byte"]
        -> [TAG_1 needs "free bytes, 2 bytes; 7FFF means that many or more"];
    /// Random bytes.
    GetRandom = "GetRandom", 0x04 0x00 0x49, [TAG_1 needs "number of bytes, 2 bytes"] -> [TAG_1 needs "random bytes"];
    /// Time stamp.
    GetTimestamp = "GetTimestamp", 0x04 0x00 0x3D, [] -> [TAG_1 needs "time stamp, 12 bytes"];
    /// Whether an object exists.
    CheckObjectExists = "CheckObjectExists", 0x04 0x00 0x27, [TAG_1 needs "object id, 4 bytes"]
        -> [TAG_1 needs "result, 1 byte: 01 yes, 02 no"];
    /// Deletes an object.
    DeleteSecureObject = "DeleteSecureObject", 0x04 0x00 0x28, [TAG_1 needs "object id, 4 bytes"] -> []
        => rule::DELETE;
    /// Generates or imports an EC key pair.
    WriteEcKeyPair = "WriteECKey (key pair)", 0x01 0x61 0x00, [
        TAG_POLICY maybe "policy set, for a new object",
        TAG_MAX_ATTEMPTS maybe "most failed attempts, 1 or 2 bytes, 0 for no limit; for a new authentication object",
        TAG_1 needs "object id, 4 bytes",
        TAG_2 maybe "curve id, 1 byte; for a new object",
        TAG_3 maybe "private key to import, as long as the curve; absent to generate on the chip",
        TAG_4 maybe "public key to import: 04, x, y; on 25519 curves 32 bytes; absent to generate on the chip",
    ] -> [] => rule::WRITE | rule::GENERATE, flags INS_AUTH | INS_TRANSIENT;
    /// Imports an EC private key.
    WriteEcPrivateKey = "WriteECKey (private key)", 0x01 0x41 0x00, [
        TAG_POLICY maybe "policy set, for a new object",
        TAG_MAX_ATTEMPTS maybe "most failed attempts, 1 or 2 bytes, 0 for no limit; for a new authentication object",
        TAG_1 needs "object id, 4 bytes",
        TAG_2 maybe "curve id, 1 byte; for a new object",
        TAG_3 needs "private key to import, as long as the curve",
    ] -> [] => rule::WRITE, flags INS_AUTH | INS_TRANSIENT;
    /// Imports an EC public key.
    WriteEcPublicKey = "WriteECKey (public key)", 0x01 0x21 0x00, [
        TAG_POLICY maybe "policy set, for a new object",
        TAG_MAX_ATTEMPTS maybe "most failed attempts, 1 or 2 bytes, 0 for no limit; for a new authentication object",
        TAG_1 needs "object id, 4 bytes",
        TAG_2 maybe "curve id, 1 byte; for a new object",
        TAG_4 needs "public key to import: 04, x, y; on 25519 curves 32 bytes",
    ] -> [] => rule::WRITE, flags INS_AUTH | INS_TRANSIENT;
    /// Writes an EC key that is there, of whatever part.
    WriteEcKey = "WriteECKey (existing)", 0x01 0x01 0x00, [
        TAG_MAX_ATTEMPTS maybe "not looked at",
        TAG_1 needs "object id, 4 bytes",
        TAG_2 maybe "curve id, 1 byte; the object's",
        TAG_3 maybe "private key, as for the object's part",
        TAG_4 maybe "public key, as for the object's part",
    ] -> [] => rule::WRITE | rule::GENERATE, flags INS_AUTH | INS_TRANSIENT;
    /// Makes a user id, an authentication object.
    WriteUserId = "WriteUserID", 0x41 0x07 0x00, [
        TAG_POLICY maybe "policy set",
        TAG_MAX_ATTEMPTS maybe "most failed attempts, 1 or 2 bytes, 0 for no limit",
        TAG_1 needs "object id, 4 bytes",
        TAG_2 needs "user id, 4 to 16 bytes",
    ] -> [];
    /// Makes, extends or resets a PCR.
    WritePcr = "WritePCR", 0x01 0x09 0x00, [
        TAG_POLICY maybe "policy set, for a new object",
        TAG_1 needs "object id, 4 bytes",
        TAG_2 maybe "initial value, 32 bytes; for a new object",
        TAG_3 maybe "data that extend it; without, an existing one goes back to its initial value",
    ] -> [] => rule::WRITE | rule::DELETE;
    /// Brings the value of a transient object back.
    ImportObject = "ImportObject", 0x01 0x00 0x18,
        [TAG_1 needs "object id, 4 bytes", TAG_3 needs "what ExportObject gave"] -> [] => rule::IMPORT_EXPORT;
    /// Takes the value of a transient object out, encrypted.
    ExportObject = "ExportObject", 0x02 0x00 0x19, [TAG_1 needs "object id, 4 bytes"]
        -> [TAG_1 needs "encrypted object"] => rule::IMPORT_EXPORT;
    /// Opens a session.
    CreateSession = "CreateSession", 0x04 0x00 0x1B, [TAG_1 needs "authentication object id, 4 bytes"]
        -> [TAG_1 needs "session id, 8 bytes"];
    /// Carries a command in a session.
    ProcessSessionCmd = "ProcessSessionCmd", 0x05 0x00 0x00,
        [TAG_SESSION needs "session id, 8 bytes", TAG_1 needs "command APDU"]
        -> [TAG_1 maybe "the response of that command takes the place of all this"];
    /// Proves a user id.
    VerifySessionUserId = "VerifySessionUserID", 0x04 0x00 0x2C, [TAG_1 needs "user id; in a session"] -> [];
    /// Gives a session its policy.
    ExchangeSessionData = "ExchangeSessionData", 0x04 0x00 0x1F, [TAG_1 needs "session policy; in a session"] -> [];
    /// Renews a session.
    RefreshSession = "RefreshSession", 0x04 0x00 0x1E, [TAG_POLICY maybe "session policy; in a session"] -> [];
    /// Ends a session.
    CloseSession = "CloseSession", 0x04 0x00 0x1C, [] -> [];
    /// Locks or unlocks the applet.
    SetLockState = "SetLockState", 0x04 0x00 0x3E,
        [TAG_1 needs "lock, 1 byte: 01 transient, 02 persistent", TAG_2 needs "state, 1 byte: 01 locked, else unlocked"]
        -> [];
    /// Makes the platform's secure channel a must.
    SetPlatformScpRequest = "SetPlatformSCPRequest", 0x04 0x00 0x52,
        [TAG_1 needs "01 required, 02 not required"] -> [];
    /// Ends the creation of objects.
    DisableObjectCreation = "DisableObjectCreation", 0x04 0x00 0x57,
        [TAG_1 needs "01 no new persistent objects, 02 no new objects"] -> [];
    /// Deletes everything that is not the maker's.
    DeleteAll = "DeleteAll", 0x04 0x00 0x2A, [] -> [];
    /// Makes or writes a binary object.
    WriteBinary = "WriteBinary", 0x01 0x06 0x00, [
        TAG_POLICY maybe "policy set, for a new object",
        TAG_1 needs "object id, 4 bytes",
        TAG_2 maybe "offset, 2 bytes; 0 when absent",
        TAG_3 maybe "length of the object, 2 bytes; for a new object",
        TAG_4 maybe "data",
    ] -> [] => rule::WRITE;
    /// Makes, increments or sets a counter.
    WriteCounter = "WriteCounter", 0x01 0x08 0x00, [
        TAG_POLICY maybe "policy set, for a new object",
        TAG_1 needs "object id, 4 bytes",
        TAG_2 maybe "size of the counter, 2 bytes: 1 to 8; for a new object",
        TAG_3 maybe "value, as long as the counter; absent to increment",
    ] -> [] => rule::WRITE;
    /// Makes a curve usable.
    CreateEcCurve = "CreateECCurve", 0x01 0x0B 0x04, [TAG_1 needs "curve id, 1 byte"] -> [];
    /// Sets one parameter of a curve.
    SetEcCurveParam = "SetECCurveParam", 0x01 0x0B 0x40,
        [TAG_1 needs "curve id, 1 byte", TAG_2 needs "parameter, 1 byte", TAG_3 needs "value"] -> [];
    /// Reads an object.
    ReadObject = "ReadObject", 0x02 0x00 0x00, [
        TAG_1 needs "object id, 4 bytes",
        TAG_2 maybe "offset, 2 bytes; binary objects; 0 when absent",
        TAG_3 maybe "length, 2 bytes; binary objects; the rest when absent",
    ] -> [TAG_1 needs "public key, binary data, counter value or PCR"] => rule::READ;
    /// Reads an object and signs what was read.
    ReadObjectAttested = "ReadObject with attestation", 0x22 0x00 0x00, [
        TAG_1 needs "object id, 4 bytes",
        TAG_2 maybe "offset, 2 bytes; binary objects; 0 when absent",
        TAG_3 maybe "length, 2 bytes; binary objects; the rest when absent",
        TAG_5 needs "attestation key id, 4 bytes",
        TAG_6 needs "attestation algorithm, 1 byte: ECDSA with 21 SHA-256, 22 SHA-384, 26 SHA-512; A3 Ed25519",
        TAG_7 needs "freshness, 16 bytes",
    ] -> [
        TAG_1 maybe "public key, binary data, counter value or PCR; not of an object that is not read",
        TAG_2 needs "object attributes; from applet 7.2 chip unique id, 18 bytes",
        TAG_3 needs "time stamp, 12 bytes; from applet 7.2 object attributes",
        TAG_4 needs "freshness, 16 bytes; from applet 7.2 object size, 2 bytes",
        TAG_5 maybe "chip unique id, 18 bytes; before applet 7.2",
        TAG_6 maybe "signature over the concatenated values of 41 to 45; before applet 7.2",
        TAG_TIMESTAMP maybe "time stamp, 12 bytes; from applet 7.2",
        TAG_SIGNATURE maybe "signature over the digest of the command and the TLVs 41 to 4F; from applet 7.2",
    ] => rule::READ;
    /// Reads the size of an object.
    ReadSize = "ReadSize", 0x02 0x00 0x07, [TAG_1 needs "object id, 4 bytes"] -> [TAG_1 needs "size in bytes, 2 bytes"];
    /// Lists object ids.
    ReadIdList = "ReadIDList", 0x02 0x00 0x25,
        [TAG_1 needs "offset into the list, 2 bytes", TAG_2 needs "type filter, 1 byte; FF for all"]
        -> [TAG_1 needs "more indicator, 1 byte: 01 complete, 02 more", TAG_2 needs "object ids, 4 bytes each"];
    /// Reads the type of an object.
    ReadType = "ReadType", 0x02 0x00 0x26, [TAG_1 needs "object id, 4 bytes"]
        -> [TAG_1 needs "object type, 1 byte", TAG_2 needs "transient indicator, 1 byte: 01 persistent, 02 transient"];
    /// Reads the attributes of an object.
    ReadAttributes = "ReadObjectAttributes", 0x02 0x00 0x3B, [TAG_1 needs "object id, 4 bytes"] -> [
        TAG_2 maybe "object attributes; before applet 7.2",
        TAG_3 maybe "object attributes; from applet 7.2",
    ];
    /// Reads the attributes of an object and signs them.
    ReadAttributesAttested = "ReadObjectAttributes with attestation", 0x22 0x00 0x3B, [
        TAG_1 needs "object id, 4 bytes",
        TAG_5 needs "attestation key id, 4 bytes",
        TAG_6 needs "attestation algorithm, as for ReadObject",
        TAG_7 needs "freshness, 16 bytes",
    ] -> [
        TAG_2 needs "object attributes; from applet 7.2 chip unique id, 18 bytes",
        TAG_3 needs "time stamp, 12 bytes; from applet 7.2 object attributes",
        TAG_4 needs "freshness, 16 bytes; from applet 7.2 object size, 2 bytes",
        TAG_5 maybe "chip unique id, 18 bytes; before applet 7.2",
        TAG_6 maybe "signature over the concatenated values of 42 to 45; before applet 7.2",
        TAG_TIMESTAMP maybe "time stamp, 12 bytes; from applet 7.2",
        TAG_SIGNATURE maybe "signature over the digest of the command and the TLVs 42 to 4F; from applet 7.2",
    ];
    /// Lists the curves.
    ReadEcCurveList = "ReadECCurveList", 0x02 0x0B 0x25, []
        -> [TAG_1 needs "set indicator of the curves 1 to 17, 1 byte each: 01 not set, 02 set"];
    /// Reads the curve of a key.
    GetEcCurveId = "GetECCurveId", 0x02 0x0B 0x36, [TAG_1 needs "object id, 4 bytes"]
        -> [TAG_1 needs "curve id, 1 byte: 03 P-256, 04 P-384, 05 P-521, 10 secp256k1, 40 Ed25519, 41 X25519"];
    /// Signs a digest, or data with Ed25519.
    EcdsaSign = "ECDSASign, EdDSASign", 0x03 0x0C 0x09, [
        TAG_1 needs "key id, 4 bytes",
        TAG_2 needs "algorithm, 1 byte: ECDSA with 11 SHA-1, 25 SHA-224, 21 SHA-256, 22 SHA-384, 26 SHA-512, 09 any digest; A3 Ed25519",
        TAG_3 needs "digest, as long as the algorithm's; data with Ed25519",
    ] -> [TAG_1 needs "signature, DER; 64 bytes with Ed25519"] => rule::SIGN;
    /// Verifies a signature over a digest, or over data with Ed25519.
    EcdsaVerify = "ECDSAVerify, EdDSAVerify", 0x03 0x0C 0x0A, [
        TAG_1 needs "key id, 4 bytes",
        TAG_2 needs "algorithm, as for signing",
        TAG_3 needs "digest, as long as the algorithm's; data with Ed25519",
        TAG_5 needs "signature, DER; 64 bytes with Ed25519",
    ] -> [TAG_1 needs "result, 1 byte: 01 good, 02 bad"] => rule::VERIFY;
    /// Agrees on a shared secret.
    Ecdh = "ECDHGenerateSharedSecret", 0x03 0x01 0x0F, [
        TAG_1 needs "key id, 4 bytes",
        TAG_2 needs "the other side's public key",
        TAG_7 maybe "AES or HMAC object that takes the secret, 4 bytes",
    ] -> [TAG_1 maybe "shared secret; not with 47"] => rule::AGREE;
    /// Writes an AES key.
    WriteAesKey = "WriteSymmKey (AES)", 0x01 0x03 0x00, [
        TAG_POLICY maybe "policy set, for a new object",
        TAG_MAX_ATTEMPTS maybe "most failed attempts, 1 or 2 bytes, 0 for no limit; for a new authentication object",
        TAG_1 needs "object id, 4 bytes",
        TAG_2 maybe "id of the AES key that unwraps the value (RFC 3394), 4 bytes",
        TAG_3 needs "key, 16, 24 or 32 bytes, or wrapped",
    ] -> [] => rule::WRITE, flags INS_AUTH | INS_TRANSIENT;
    /// Writes an HMAC key.
    WriteHmacKey = "WriteSymmKey (HMAC)", 0x01 0x05 0x00, [
        TAG_POLICY maybe "policy set, for a new object",
        TAG_1 needs "object id, 4 bytes",
        TAG_2 maybe "id of the AES key that unwraps the value (RFC 3394), 4 bytes",
        TAG_3 needs "key, 1 to 256 bytes, or wrapped",
    ] -> [] => rule::WRITE, flags INS_TRANSIENT;
    /// Encrypts at once.
    EncryptOneShot = "CipherOneShot (encrypt)", 0x03 0x0E 0x37, [
        TAG_1 needs "key id, 4 bytes",
        TAG_2 needs "mode, 1 byte: 0E ECB, 0D CBC, 16, 17, 18 CBC with padding ISO 9797-1 M1, M2, PKCS#5, F0 CTR",
        TAG_3 needs "data",
        TAG_4 maybe "initial value, 16 bytes; zero when absent",
    ] -> [TAG_1 needs "encrypted data"] => rule::ENCRYPT;
    /// Decrypts at once.
    DecryptOneShot = "CipherOneShot (decrypt)", 0x03 0x0E 0x38, [
        TAG_1 needs "key id, 4 bytes",
        TAG_2 needs "mode, as for encrypting",
        TAG_3 needs "encrypted data",
        TAG_4 maybe "initial value, 16 bytes; zero when absent",
    ] -> [TAG_1 needs "data"] => rule::DECRYPT;
    /// Begins to encrypt.
    EncryptInit = "CipherInit (encrypt)", 0x03 0x0E 0x42, [
        TAG_1 needs "key id, 4 bytes",
        TAG_2 needs "crypto object id, 2 bytes",
        TAG_4 maybe "initial value, 16 bytes; zero when absent",
    ] -> [] => rule::ENCRYPT;
    /// Begins to decrypt.
    DecryptInit = "CipherInit (decrypt)", 0x03 0x0E 0x43, [
        TAG_1 needs "key id, 4 bytes",
        TAG_2 needs "crypto object id, 2 bytes",
        TAG_4 maybe "initial value, 16 bytes; zero when absent",
    ] -> [] => rule::DECRYPT;
    /// Goes on with a cipher.
    CipherUpdate = "CipherUpdate", 0x03 0x0E 0x0C,
        [TAG_2 needs "crypto object id, 2 bytes", TAG_3 needs "data"] -> [TAG_1 needs "the blocks that are complete"];
    /// Ends a cipher.
    CipherFinal = "CipherFinal", 0x03 0x0E 0x0D,
        [TAG_2 needs "crypto object id, 2 bytes", TAG_3 maybe "data"] -> [TAG_1 needs "the rest"];
    /// Makes a MAC at once.
    MacGenerate = "MACOneShot (generate)", 0x03 0x0D 0x45, [
        TAG_1 needs "key id, 4 bytes",
        TAG_2 needs "algorithm, 1 byte: HMAC with 18 SHA-1, 19 SHA-256, 1A SHA-384, 1B SHA-512; 31 CMAC with AES",
        TAG_3 needs "data",
    ] -> [TAG_1 needs "MAC"] => rule::SIGN;
    /// Checks a MAC at once.
    MacValidate = "MACOneShot (validate)", 0x03 0x0D 0x46, [
        TAG_1 needs "key id, 4 bytes",
        TAG_2 needs "algorithm, as for generating",
        TAG_3 needs "data",
        TAG_5 needs "MAC",
    ] -> [TAG_1 needs "result, 1 byte: 01 good, 02 bad"] => rule::VERIFY;
    /// Begins a MAC.
    MacGenerateInit = "MACInit (generate)", 0x03 0x0D 0x03,
        [TAG_1 needs "key id, 4 bytes", TAG_2 needs "crypto object id, 2 bytes"] -> [] => rule::SIGN;
    /// Begins to check a MAC.
    MacValidateInit = "MACInit (validate)", 0x03 0x0D 0x44,
        [TAG_1 needs "key id, 4 bytes", TAG_2 needs "crypto object id, 2 bytes"] -> [] => rule::VERIFY;
    /// Goes on with a MAC.
    MacUpdate = "MACUpdate", 0x03 0x0D 0x0C, [TAG_1 needs "data", TAG_2 needs "crypto object id, 2 bytes"] -> [];
    /// Ends a MAC.
    MacFinal = "MACFinal", 0x03 0x0D 0x0D, [
        TAG_1 maybe "data",
        TAG_2 needs "crypto object id, 2 bytes",
        TAG_3 maybe "MAC; has to be there when one is checked",
    ] -> [TAG_1 needs "MAC, or result, 1 byte: 01 good, 02 bad"];
    /// Derives a key with HKDF.
    Hkdf = "HKDF", 0x03 0x00 0x2D, [
        TAG_1 needs "HMAC object id, 4 bytes",
        TAG_2 needs "digest, 1 byte: 01 SHA-1, 04 SHA-256, 05 SHA-384, 06 SHA-512",
        TAG_3 maybe "salt, 0 to 64 bytes",
        TAG_4 maybe "info, 1 to 80 bytes",
        TAG_5 needs "number of bytes, 2 bytes",
        TAG_6 maybe "HMAC object that is the salt, 4 bytes",
        TAG_7 maybe "AES or HMAC object that takes the key, 4 bytes",
    ] -> [TAG_1 maybe "derived key; not with 47"] => rule::DERIVE;
    /// Derives a key with the second half of HKDF.
    HkdfExpand = "HKDF (expand only)", 0x03 0x00 0x2F, [
        TAG_1 needs "HMAC object id, 4 bytes",
        TAG_2 needs "digest, as for HKDF",
        TAG_4 maybe "info, 1 to 80 bytes",
        TAG_5 needs "number of bytes, 2 bytes",
        TAG_7 maybe "AES or HMAC object that takes the key, 4 bytes",
    ] -> [TAG_1 maybe "derived key; not with 47"] => rule::DERIVE;
    /// Derives bytes with PBKDF2.
    Pbkdf2 = "PBKDF2", 0x03 0x00 0x2E, [
        TAG_1 needs "HMAC object id, 4 bytes: the password",
        TAG_2 maybe "salt, 0 to 64 bytes",
        TAG_3 needs "iterations, 2 bytes: 1 to 7FFF",
        TAG_4 needs "number of bytes, 2 bytes: 1 to 512",
    ] -> [TAG_1 needs "derived bytes, with HMAC-SHA-1"] => rule::DERIVE;
    /// Digests at once.
    DigestOneShot = "DigestOneShot", 0x03 0x00 0x0E, [
        TAG_1 needs "digest, 1 byte: 01 SHA-1, 07 SHA-224, 04 SHA-256, 05 SHA-384, 06 SHA-512",
        TAG_2 needs "data",
    ] -> [TAG_1 needs "digest"];
    /// Begins a digest.
    DigestInit = "DigestInit", 0x03 0x00 0x0B, [TAG_2 needs "crypto object id, 2 bytes"] -> [];
    /// Goes on with a digest.
    DigestUpdate = "DigestUpdate", 0x03 0x00 0x0C,
        [TAG_2 needs "crypto object id, 2 bytes", TAG_3 needs "data"] -> [];
    /// Ends a digest.
    DigestFinal = "DigestFinal", 0x03 0x00 0x0D,
        [TAG_2 needs "crypto object id, 2 bytes", TAG_3 maybe "data"] -> [TAG_1 needs "digest"];
    /// Makes a crypto object.
    CreateCryptoObject = "CreateCryptoObject", 0x01 0x10 0x00, [
        TAG_1 needs "crypto object id, 2 bytes",
        TAG_2 needs "context, 1 byte: 01 digest, 02 cipher, 03 MAC",
        TAG_3 needs "digest, cipher mode or MAC algorithm, 1 byte",
    ] -> [];
    /// Lists the crypto objects.
    ReadCryptoObjectList = "ReadCryptoObjectList", 0x02 0x10 0x25, []
        -> [TAG_1 needs "id, 2 bytes, context and algorithm, 1 byte each; for each crypto object"];
    /// Deletes a crypto object.
    DeleteCryptoObject = "DeleteCryptoObject", 0x04 0x10 0x28, [TAG_1 needs "crypto object id, 2 bytes"] -> [];
}
