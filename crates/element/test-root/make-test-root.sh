#!/bin/sh
# Makes the TEST root under which every virtual element's chip certificate is issued, with OpenSSL 3.
# The private key is public on purpose: it is in the repository, proves nothing, and is refused by default.
# Run it in this directory. A new root makes every existing virtual element unknown to its verifiers.
set -eu

openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out test-element-root.key.pem

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat > "$work/ca.conf" <<CONF
[ca]
default_ca = root
[root]
database = $work/index
new_certs_dir = $work
rand_serial = yes
default_md = sha256
unique_subject = no
policy = subject
x509_extensions = extensions
preserve = yes
[subject]
organizationName = supplied
commonName = supplied
[extensions]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[req]
distinguished_name = name
string_mask = utf8only
[name]
CONF
: > "$work/index"

openssl req -new -utf8 -config "$work/ca.conf" -key test-element-root.key.pem \
    -subj "/O=TEST Touchmark/CN=TEST Touchmark Element Root" -out "$work/root.csr"
# Dates are fixed: trials with a seeded clock have to find the root valid.
openssl ca -batch -selfsign -config "$work/ca.conf" -keyfile test-element-root.key.pem -in "$work/root.csr" \
    -startdate 20200101000000Z -enddate 21200101000000Z -notext -out test-element-root.pem
