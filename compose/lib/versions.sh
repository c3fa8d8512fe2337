# Where each version of RabbitMQ comes from, and how a program of that version is run.
#
# `system` is what the package manager installed. Newer versions come from newer Debian releases: a whole Debian tree,
# made once by debootstrap, as their Erlang needs a newer C library than the system may have. shellcheck shell=bash
# disable=SC2034,SC2154

check_version() {
    case $1 in
    system | 4.0 | 4.3) ;;
    *) fail "version '$1' is not known: system, 4.0 or 4.3." ;;
    esac
}

debian_release() {
    case $version in
    4.0) printf 'trixie' ;;
    4.3) printf 'sid' ;;
    esac
}

debian_tree() { [ "$version" = system ] || printf '%s/debian-%s' "$cache" "$(debian_release)"; }

# The folder of the start scripts. The wrappers in /usr/sbin switch to the user `rabbitmq` and its system-wide data.
rabbitmq_sbin() {
    local folder tree
    tree=$(debian_tree)
    for folder in /usr/lib/rabbitmq/bin "${HOMEBREW_PREFIX:-/opt/homebrew}/opt/rabbitmq/sbin" /usr/local/opt/rabbitmq/sbin; do
        if [ -x "$tree$folder/rabbitmq-server" ]; then
            printf '%s' "$folder"
            return
        fi
    done
    fail "RabbitMQ is not installed here. Run compose/setup first."
}

# Replaces this process by the program, in the version's own file system. Callers that go on use a subshell.
exec_in_version() {
    if [ "$version" = system ]; then
        exec "$@"
    fi
    exec unshare --mount --propagation private \
        sh "$compose/lib/enter-debian-tree" "$(debian_tree)" "$broker_dir" "$@"
}

# Fails unless programs of the version can be run; makes the Debian tree if need be.
prepare_version() {
    if [ "$version" = system ]; then
        rabbitmq_sbin >/dev/null
        return
    fi
    [ "$(uname -s)" = Linux ] || fail "--version $version needs Linux; here only --version system works."
    [ "$(id -u)" = 0 ] || fail "--version $version needs root: it runs RabbitMQ inside a Debian tree (chroot)."
    [ -d "$(debian_tree)" ] || make_debian_tree
}

make_debian_tree() {
    local tree partial log began=$SECONDS found
    tree=$(debian_tree)
    partial="$tree.partial" log="$tree.log"
    command -v debootstrap >/dev/null 2>&1 || fail "debootstrap is missing. Run compose/setup --version $version first."
    mkdir -p "$cache"
    exec 8>"$tree.lock"
    if ! lock_descriptor 8 0 2>/dev/null; then
        say "RabbitMQ $version: waiting for another command that is fetching it"
        lock_descriptor 8 1200 || fail "another command has been fetching RabbitMQ $version for twenty minutes."
    fi
    # The folder gets its final name only when it is complete.
    if [ ! -d "$tree" ]; then
        rm -rf --one-file-system "$partial"
        say "RabbitMQ $version: fetching it with Debian $(debian_release), once; it takes about a minute"
        # In a private mount namespace: whatever debootstrap mounts goes with it, even when it is killed.
        if ! unshare --mount --propagation private debootstrap --variant=minbase --include=rabbitmq-server \
            "$(debian_release)" "$partial" "${WARREN_DEBIAN_MIRROR:-http://deb.debian.org/debian}" 2>&1 |
            tee "$log" | show_debootstrap_progress; then
            say "--- the end of $log"
            tail -n 10 "$log" >&2
            rm -rf --one-file-system "$partial"
            fail "debootstrap of Debian $(debian_release) failed."
        fi
        found=$(dpkg-query --admindir="$partial/var/lib/dpkg" -W -f '${Version}' rabbitmq-server)
        case $found in
        "$version".*) ;;
        *)
            rm -rf --one-file-system "$partial"
            fail "Debian $(debian_release) has RabbitMQ $found now, not $version."
            ;;
        esac
        rm -rf "$partial"/var/cache/apt/archives/*.deb
        mv "$partial" "$tree"
        say "RabbitMQ $version: fetched $found in $((SECONDS - began)) s"
    fi
    exec 8>&-
}

# One line for each phase instead of several hundred.
show_debootstrap_progress() {
    awk '
        /^I: Retrieving/ && !retrieving++ { print "  retrieving packages"; fflush() }
        /^I: (Extracting|Unpacking)/ && !unpacking++ { print "  unpacking"; fflush() }
        /^I: Configuring/ && !configuring++ { print "  configuring"; fflush() }
        /^[EW]: / { print "  " $0; fflush() }' >&2
}
