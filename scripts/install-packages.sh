#!/bin/sh
# Installs the foreign programs that `make demo` and `make test` need, and nothing that is there already.
#
#   scripts/install-packages.sh demo    what the demonstration needs
#   scripts/install-packages.sh test    that, and the peers of the test suites
#
# On Debian and its kin it uses apt-get, as root or through sudo. Elsewhere it says what is missing.
set -eu

# nginx lives where only root looks.
PATH="$PATH:/usr/sbin:/sbin"

# A line for each package: the program or file that shows it is there, the package, what it is for.
demo_needs() {
    cat <<'LIST'
cc                  gcc             compiles the cryptographic library and SQLite
/usr/include/stdlib.h libc6-dev     headers for that
pgrep               procps          finds and signals processes
openssl             openssl         reads and checks the certificates, as a second opinion
curl                curl            talks EST and OCSP, as a client that is not ours
nginx               nginx-light     terminates mutual TLS in front of the telemetry socket
swtpm               swtpm           a TPM 2.0 in software
swtpm_setup         swtpm-tools     gives that TPM an endorsement key and its certificate
LIST
}

test_needs() {
    demo_needs
    cat <<'LIST'
tpm2_makecredential tpm2-tools      makes and reads TPM structures, as a second implementation
libtss2-tcti-swtpm.so.0 libtss2-tcti-swtpm0 lets tpm2-tools reach swtpm
/usr/include/tss2/tss2_esys.h libtss2-dev the TSS 2.0 libraries, over which tss-esapi reaches a TPM
c++                 g++             compiles libFuzzer
pkg-config          pkg-config      finds these libraries for the foreign clients (peers/)
/usr/include/openssl/ssl.h libssl-dev the token kryoptic is built over it
/usr/include/sqlite3.h libsqlite3-dev that token keeps its objects with it
libclang.so         libclang-dev    reads the headers of these two
softhsm2-util       softhsm2        a PKCS#11 token in software
opensc-tool         opensc          talks to a smart card, as a client that is not ours
/usr/include/PCSC/winscard.h libpcsclite-dev the header against which a client in C is compiled
pcscd               pcscd           the PC/SC daemon
/usr/lib/pcsc/drivers/serial/libifdvpcd.so vsmartcard-vpcd a reader of that daemon for a card behind TCP
mcopy               mtools          reads and writes FAT images, as a second implementation
haproxy             haproxy         a terminator whose log is read
mosquitto           mosquitto       an MQTT broker whose log is read, and that carries events
mosquitto_pub       mosquitto-clients sends to that broker, and reads from it
nats-server         nats-server     the cluster over which monitors share their work
kcat                kcat            brokers of Kafka in one process, and a producer
script              bsdutils        gives a program a terminal
python3             python3         receives findings over HTTP and syslog
chromium            chromium        a browser that shows the dashboard
chromedriver        chromium-driver drives that browser
LIST
}

there() {
    case "$1" in
        /*) test -e "$1" ;;
        *.so | *.so.*)
                for file in /usr/lib/"$1" /usr/lib/*/"$1" /usr/lib64/"$1" /usr/lib/llvm-*/lib/"$1"; do
                    test -e "$file" && return 0
                done
                return 1 ;;
        *) command -v "$1" >/dev/null 2>&1 ;;
    esac
}

case "${1-}" in
    demo) list=$(demo_needs) ;;
    test) list=$(test_needs) ;;
    *) echo "usage: $0 demo|test" >&2; exit 2 ;;
esac

missing=""
while read -r shown_by package reason; do
    if ! there "$shown_by"; then
        echo "missing: $package ($reason)" >&2
        missing="$missing $package"
    fi
done <<LIST
$list
LIST

if [ -z "$missing" ]; then
    exit 0
fi
if ! command -v apt-get >/dev/null 2>&1; then
    echo "this system has no apt-get; install the equivalents of:$missing" >&2
    exit 3
fi
if [ "$(id -u)" -eq 0 ]; then
    as_root=""
elif command -v sudo >/dev/null 2>&1; then
    as_root="sudo"
else
    echo "run as root or install sudo, then: apt-get install$missing" >&2
    exit 3
fi

echo "installing:$missing" >&2
# A service of the distribution's own nginx is not wanted: each demonstration and test starts its own, and takes it
# down. invoke-rc.d(8): a policy that says 101 keeps services from starting; one that is there already is left alone.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap '$as_root rm -f "$policy"' EXIT
    trap 'exit 4' INT TERM
    printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
    $as_root chmod 755 "$policy"
fi
$as_root apt-get update -q >&2 || echo "the package lists could not be renewed; trying with those that are there" >&2
# shellcheck disable=SC2086 # the names hold no blanks
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing >&2 || exit 3
