#!/usr/bin/env python3
"""Makes vectors.json with OpenSSL's `mac` and `enc` commands alone: an implementation of SCP03 (GlobalPlatform Card
Specification, Amendment D 1.2) that shares nothing with the one under test. Run: python3 vectors.py > vectors.json"""
import json
import subprocess


def cmac(key, message):
    cipher = 'cipher:AES-%d-CBC' % (len(key) * 8)
    command = ['openssl', 'mac', '-macopt', cipher, '-macopt', 'hexkey:' + key.hex(), 'CMAC']
    out = subprocess.run(command, input=message, capture_output=True, check=True).stdout
    return bytes.fromhex(out.decode().strip())


def aes(key, message, mode, iv=None):
    command = ['openssl', 'enc', '-aes-%d-%s' % (len(key) * 8, mode), '-K', key.hex(), '-nopad']
    command += [] if iv is None else ['-iv', iv.hex()]
    return subprocess.run(command, input=message, capture_output=True, check=True).stdout


def kdf(key, constant, bits, context):
    out = b''
    counter = 0
    while len(out) * 8 < bits:
        counter += 1
        label = bytes(11) + bytes([constant, 0]) + bits.to_bytes(2, 'big') + bytes([counter])
        out += cmac(key, label + context)
    return out[:bits // 8]


def pad(data):
    data += b'\x80'
    return data + bytes(-len(data) % 16)


def dialogue(size, width):
    key = bytes(range(0x40, 0x40 + size))
    host = bytes(range(0x10, 0x10 + width))
    aid = bytes.fromhex('A000000151000000')
    sequence = bytes.fromhex('00002A')
    card = kdf(key, 2, width * 8, sequence + aid)
    context = host + card
    enc, mac, rmac = (kdf(key, constant, size * 8, context) for constant in (4, 6, 7))
    host_cryptogram = kdf(mac, 1, width * 8, context)
    authenticate = bytes([0x84, 0x82, 0x33, 0, 2 * width]) + host_cryptogram
    chaining = cmac(mac, bytes(16) + authenticate)
    authenticate += chaining[:width]

    exchanges = []
    counter = 0
    plain = [
        ('80F2800202', '4F00', '00', 'E3084F06A00000015100', '9000'),
        ('80CA00E0', '', '00', 'E00401020304', '9000'),
        ('80E60C0010', '00112233445566778899AABBCCDDEEFF', '', '', '6310'),
        ('80E29000000100', 'C3' * 256, '0000', '5A' * 300, '9000'),
    ]
    for header, data, le, answer, status in plain:
        header, data, answer = bytes.fromhex(header), bytes.fromhex(data), bytes.fromhex(answer)
        counter += 1
        count = counter.to_bytes(16, 'big')
        sealed = aes(enc, pad(data), 'cbc', aes(enc, count, 'ecb')) if data else b''
        length = len(sealed) + width
        lc = bytes([length]) if length < 256 else b'\0' + length.to_bytes(2, 'big')
        secured = bytes([header[0] | 4]) + header[1:4] + lc + sealed
        chaining = cmac(mac, chaining + secured)
        secured += chaining[:width] + bytes.fromhex(le)
        sealed = aes(enc, pad(answer), 'cbc', aes(enc, b'\x80' + count[1:], 'ecb')) if answer else b''
        code = cmac(rmac, chaining + sealed + bytes.fromhex(status))[:width]
        exchanges.append({
            'command': (header + data).hex() + le,
            'secured': secured.hex(),
            'answer': answer.hex() + status,
            'secured_answer': (sealed + code).hex() + status,
        })

    new = bytes(range(size))
    sealed = aes(key, new + bytes(-size % 16), 'cbc', bytes(16))
    check = aes(new, b'\x01' * 16, 'ecb')[:3]
    block = bytes([0x88, 1 + len(sealed), size]) + sealed + b'\x03' + check
    return {
        'key': key.hex(), 'host_challenge': host.hex(), 'sequence': sequence.hex(), 'aid': aid.hex(),
        'card_challenge': card.hex(), 's_enc': enc.hex(), 's_mac': mac.hex(), 's_rmac': rmac.hex(),
        'card_cryptogram': kdf(mac, 0, width * 8, context).hex(),
        'external_authenticate': authenticate.hex(), 'exchanges': exchanges,
        'new_key': new.hex(), 'put_key_block': block.hex(),
    }


print(json.dumps([dialogue(size, width) for size in (16, 24, 32) for width in (8, 16)], indent=1))
