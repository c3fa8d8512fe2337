# From options to a broker that answers, and back to nothing if that fails.
# shellcheck shell=bash disable=SC2034,SC2154,SC2317

# A node is ready after 3 to 20 s; a busy machine takes several times that.
start_limit=${WARREN_BROKER_START_LIMIT:-180}

# What exists keeps its options: another version can't read the data, and clients hold its URLs.
adopt_options() {
    local differs=''
    if ! broker_exists; then
        version=system nodes=1 tls=no ready=no
        token=$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n')
    fi
    if [ "$ready" = yes ]; then
        [ -z "$asked_version" ] || [ "$asked_version" = "$version" ] || differs="$differs --version $version"
        [ -z "$asked_nodes" ] || [ "$asked_nodes" = "$nodes" ] || differs="$differs --nodes $nodes"
        [ -z "$asked_tls" ] || [ "$asked_tls" = "$tls" ] || differs="$differs without --tls"
        [ -z "$differs" ] || fail "broker '$name' exists with other options than asked for (it is${differs})." \
            "Take another --name, or delete it first: compose/broker stop --name $name --wipe"
    else
        # What an interrupted start or reset left is worth nothing and binds nobody.
        # shellcheck disable=SC2046
        kill_nodes $(each_node)
        rm -rf "$broker_dir"/node-*
        version=${asked_version:-$version} nodes=${asked_nodes:-$nodes} tls=${asked_tls:-$tls}
        # From 4.0 on, the founder of a cluster waits for the others to be there.
        [ -z "$asked_node" ] || [ "$nodes" -eq 1 ] || fail "a new cluster starts as a whole: leave out --node."
    fi
}

launched_nodes=''
end_what_was_started() {
    local code=$?
    trap - EXIT
    # Neither a second Ctrl-C nor a closed terminal or pipe may leave the rest running.
    trap '' INT TERM HUP PIPE
    [ "$code" -ne 0 ] || return 0
    set +eu
    # The signal may have come between the launch of a process and the recording of its pid.
    [ -z "$unrecorded" ] || kill -KILL $! 2>/dev/null
    if [ "$ready" = yes ]; then
        # shellcheck disable=SC2086
        end_nodes $launched_nodes
    else
        # shellcheck disable=SC2086
        kill_nodes $launched_nodes
    fi
    [ -n "$(running_nodes)" ] || [ -z "$port_base" ] || end_epmd
    exit "$code"
}

# Returns when each of the nodes answers; fails with the last lines of the log of one that ended or took too long.
await_nodes() {
    local node deadline=$((SECONDS + start_limit))
    for node in "$@"; do
        until node_answers "$node"; do
            ! node_is_gone "$node" || show_log_and_fail "$node" "ended while it was starting"
            [ $SECONDS -lt $deadline ] || show_log_and_fail "$node" "was not ready after $start_limit s"
            sleep 0.3
        done
    done
}

# A node answers before it and the others have found each other. $@: the nodes just started.
await_cluster() {
    local node expected=0
    for node in $(running_nodes); do
        # One that was stopped or suspended on purpose must not hold up the rest.
        ! node_answers "$node" || expected=$((expected + 1))
    done
    for node in "$@"; do
        wait_until 30 sees_running_nodes "$node" "$expected" || fail "node $node of broker '$name' runs but does not see a" \
            "cluster of $expected: compose/broker ctl --name $name --node $node cluster_status"
    done
}

sees_running_nodes() {
    local running
    running=$(ctl "$1" cluster_status --formatter json 2>/dev/null |
        grep -o '"running_nodes": *\[[^]]*\]' | grep -o '@' | wc -l)
    [ "$running" -ge "$2" ]
}

show_log_and_fail() {
    local log
    for log in start.log rabbit.log; do
        log="$(node_dir "$1")/log/$log"
        [ -s "$log" ] || continue
        say "--- the end of $log"
        tail -n 20 "$log" >&2
    done
    fail "node $1 of broker '$name' $2."
}

launch_nodes() {
    local node
    [ "$tls" != yes ] || make_certificates
    for node in "$@"; do configure_node "$node"; done
    launch_epmd
    for node in "$@"; do
        launched_nodes="$launched_nodes $node"
        launch_node "$node"
    done
}

start_nodes() {
    trap end_what_was_started EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 141' PIPE
    trap 'exit 143' TERM
    launch_nodes "$@"
    await_nodes "$@"
    [ "$nodes" -eq 1 ] || await_cluster "$@"
    ready=yes
    save_broker
    trap - EXIT HUP INT PIPE TERM
}
