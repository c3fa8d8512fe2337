# Locks between broker commands that run at the same time, and the choice of free ports.
# shellcheck shell=bash disable=SC2034,SC2154

# The kernel drops these locks when their holder ends, however it ends. macOS has no flock(1); perl locks the same open
# file. $1: the descriptor, already open on the lock file. $2: seconds to wait.
lock_descriptor() {
    if command -v flock >/dev/null 2>&1; then
        flock -w "$2" "$1"
    else
        perl -e 'use Fcntl ":flock"; open(my $f, ">&=", $ARGV[0]) or exit 1;
            $SIG{ALRM} = sub { exit 1 }; alarm $ARGV[1]; exit(flock($f, LOCK_EX) ? 0 : 1)' "$1" "$2"
    fi
}

# Descriptor 9 stays open until this command ends: start, stop and reset of one broker happen one after another.
lock_broker() {
    mkdir -p "$brokers/.locks"
    exec 9>"$brokers/.locks/$name"
    lock_descriptor 9 0 2>/dev/null && return
    say "broker $name: waiting for another start, stop or reset of it"
    lock_descriptor 9 300 || fail "another command has held broker '$name' for five minutes."
}

something_listens() { (: >"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

block_is_free() {
    local port
    for port in $(seq "$1" $(($1 + 12))); do
        ! something_listens "$port" || return 1
    done
}

# A reservation names the broker's folder, and holds as long as that broker's state names the block.
reserved_by_another() {
    local owner
    [ -f "$cache/ports/$1" ] || return 1
    owner=$(cat "$cache/ports/$1")
    [ "$owner" != "$broker_dir" ] && grep -qx "port_base=$1" "$owner/state" 2>/dev/null
}

# Sets port_base. Between choosing a port and listening on it lie seconds, hence the reservations. The blocks lie below
# the ports that systems hand out to outgoing connections (32768 on Linux, 49152 on macOS).
reserve_ports() {
    mkdir -p "$cache/ports"
    exec 8>"$cache/ports.lock"
    lock_descriptor 8 60 || fail "can't lock $cache/ports.lock."
    local base=$port_base tries=0
    until [ -n "$base" ] && ! reserved_by_another "$base" && block_is_free "$base"; do
        tries=$((tries + 1))
        [ $tries -le 200 ] || fail "found no block of 13 free ports between 20000 and 32000."
        base=$((20000 + 20 * (RANDOM % 600)))
    done
    [ -z "$port_base" ] || [ "$base" = "$port_base" ] || rm -f "$cache/ports/$port_base"
    port_base=$base
    printf '%s\n' "$broker_dir" >"$cache/ports/$base"
    save_broker
    exec 8>&-
}

release_ports() {
    [ -n "$port_base" ] && [ "$(cat "$cache/ports/$port_base" 2>/dev/null)" = "$broker_dir" ] && rm -f "$cache/ports/$port_base"
    return 0
}
