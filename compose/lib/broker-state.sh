# What is known of one broker: its folder, options and ports, kept in `.broker/NAME/state` as key=value lines.
# `load_broker` sets the globals below; every other file reads them.
# shellcheck shell=bash disable=SC2034,SC2154

repository=$(cd "$compose/.." && pwd)
brokers="$repository/.broker"

# Shared by all checkouts of this user: port reservations, and the Debian trees other versions run from.
cache=${WARREN_BROKER_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/warren-broker}

say() { printf '%s\n' "$*" >&2; }

fail() {
    printf 'broker: %s\n' "$*" >&2
    exit 1
}

check_name() {
    case $1 in
    '' | -* | *[!a-z0-9-]*) fail "'$1' is not a valid broker name: use a-z, 0-9 and '-', and begin with a letter or digit." ;;
    esac
    # The name is part of the Erlang node name, which epmd limits to 255 bytes, and of paths.
    [ "${#1}" -le 40 ] || fail "'$1' is too long for a name: 40 characters at most."
}

load_broker() {
    name=$1
    broker_dir="$brokers/$name"
    version='' nodes='' tls='' port_base='' token='' ready=''
    [ -f "$broker_dir/state" ] || return 0
    local key value folder=''
    while IFS='=' read -r key value; do
        case $key in
        version) version=$value ;;
        nodes) nodes=$value ;;
        tls) tls=$value ;;
        port_base) port_base=$value ;;
        token) token=$value ;;
        ready) ready=$value ;;
        folder) folder=$value ;;
        esac
    done <"$broker_dir/state"
    # In a copy of the repository the recorded processes are those of the original.
    [ "$folder" = "$broker_dir" ] || token="${token}c"
}

save_broker() {
    mkdir -p "$broker_dir"
    # Renamed into place, so that a reader never sees half of it.
    cat >"$broker_dir/state.new" <<END
version=$version
nodes=$nodes
tls=$tls
port_base=$port_base
token=$token
ready=$ready
folder=$broker_dir
END
    mv "$broker_dir/state.new" "$broker_dir/state"
}

broker_exists() { [ -n "$token" ]; }

node_dir() { printf '%s/node-%s' "$broker_dir" "$1"; }
node_name() { printf 'warren-%s-%s@localhost' "$name" "$1"; }

# One block of ports a broker, laid out by purpose.
epmd_port() { printf '%s' "$port_base"; }
amqp_port() { printf '%s' $((port_base + $1)); }
tls_port() { printf '%s' $((port_base + 3 + $1)); }
management_port() { printf '%s' $((port_base + 6 + $1)); }
distribution_port() { printf '%s' $((port_base + 9 + $1)); }

amqp_url() { printf 'amqp://guest:guest@127.0.0.1:%s/%%2f' "$(amqp_port "$1")"; }
tls_url() { printf 'amqps://guest:guest@localhost:%s/%%2f' "$(tls_port "$1")"; }
management_url() { printf 'http://guest:guest@127.0.0.1:%s' "$(management_port "$1")"; }

each_node() { seq 1 "$nodes"; }
