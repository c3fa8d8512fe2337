# The certificates of one broker: a private authority, a server and a client, below `.broker/NAME/tls`.
# shellcheck shell=bash disable=SC2154

make_certificates() {
    local folder="$broker_dir/tls" new="$broker_dir/tls.new"
    ! certificates_are_good "$folder" || return 0
    command -v openssl >/dev/null 2>&1 || fail "openssl is missing. Run compose/setup first."
    rm -rf "$new"
    mkdir -p "$new"
    # Extensions come from a file: LibreSSL on macOS and old OpenSSL know no -addext.
    cat >"$new/extensions.cnf" <<END
[req]
distinguished_name = subject
[subject]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost, IP:127.0.0.1
[client]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
END
    (
        # The keys are for the owner alone.
        umask 077
        cd "$new"
        openssl ecparam -name prime256v1 -genkey -noout -out ca-key.pem
        openssl req -x509 -new -sha256 -key ca-key.pem -days 825 -subj "/CN=Warren broker $name" \
            -config extensions.cnf -extensions authority -out ca.pem
        sign_certificate server localhost
        # The user name that the broker would take from it, if it were configured to log in by certificate.
        sign_certificate client guest
        rm -f extensions.cnf ca.srl
    ) >"$broker_dir/tls.log" 2>&1 || true
    # Judged by the outcome, as `set -e` does not reach into a command whose result is tested.
    if ! certificates_are_good "$new"; then
        tail -n 10 "$broker_dir/tls.log" >&2
        fail "openssl could not make the certificates."
    fi
    rm -rf "$folder" "$broker_dir/tls.log"
    mv "$new" "$folder"
}

# $1: server or client, $2: its common name.
sign_certificate() {
    openssl ecparam -name prime256v1 -genkey -noout -out "$1-key.pem"
    openssl req -new -sha256 -key "$1-key.pem" -subj "/CN=$2" -config extensions.cnf -out "$1.csr"
    openssl x509 -req -sha256 -in "$1.csr" -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 825 \
        -extfile extensions.cnf -extensions "$1" -out "$1.pem"
    rm -f "$1.csr"
}

# All there, and good for another day at least.
certificates_are_good() {
    local file
    for file in ca server client; do
        [ -f "$1/$file-key.pem" ] && openssl x509 -noout -checkend 86400 -in "$1/$file.pem" >/dev/null 2>&1 || return 1
    done
}
