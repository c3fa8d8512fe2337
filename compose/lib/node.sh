# One RabbitMQ node, and the broker's own epmd: configure, launch, find, probe, end.
# shellcheck shell=bash disable=SC2034,SC2154

# Nothing of the caller's or the system's configuration gets in: the environment starts empty, and the files that
# RabbitMQ would look for under /etc/rabbitmq are named explicitly. Sets the array `environment`.
node_environment() {
    local node
    node=$(node_dir "$1")
    environment=(
        "PATH=$(rabbitmq_sbin):${PATH}"
        "HOME=$broker_dir/home" # Erlang keeps the cookie of the cluster here.
        LANG=C.UTF-8
        "ERL_EPMD_PORT=$(epmd_port)"
        ERL_EPMD_ADDRESS=127.0.0.1
        "ERL_CRASH_DUMP=$node/log/erl_crash.dump"
        "RABBITMQ_NODENAME=$(node_name "$1")"
        "RABBITMQ_DIST_PORT=$(distribution_port "$1")"
        "RABBITMQ_CONF_ENV_FILE=$node/rabbitmq-env.conf"
        "RABBITMQ_CONFIG_FILE=$node/rabbitmq.conf"
        "RABBITMQ_CONFIG_FILES=$node/conf.d"
        "RABBITMQ_ADVANCED_CONFIG_FILE=$node/advanced.config"
        "RABBITMQ_ENABLED_PLUGINS_FILE=$node/enabled_plugins"
        "RABBITMQ_MNESIA_BASE=$node/data"
        "RABBITMQ_LOG_BASE=$node/log"
        "RABBITMQ_LOGS=$node/log/rabbit.log"
        "RABBITMQ_PID_FILE=$node/rabbit.pid"
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1}"
        "RABBITMQ_CTL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1}"
        # The default range has room for eleven tools at once on the whole machine.
        RABBITMQ_CTL_DIST_PORT_MIN=35672
        RABBITMQ_CTL_DIST_PORT_MAX=36671
        # Makes the start script become the Erlang machine instead of staying as its parent, so $! is the node's pid.
        RUNNING_UNDER_SYSTEMD=true
    )
}

node_mark() { printf 'warren-%s-%s-%s.' "$name" "$1" "$token"; }

configure_node() {
    local node other
    node=$(node_dir "$1")
    mkdir -p "$node/data" "$node/log" "$node/conf.d" "$broker_dir/home"
    : >"$node/rabbitmq-env.conf"
    printf '[].\n' >"$node/advanced.config"
    printf '[rabbitmq_management].\n' >"$node/enabled_plugins"
    {
        cat <<END
listeners.tcp.1 = 127.0.0.1:$(amqp_port "$1")
management.tcp.ip = 127.0.0.1
management.tcp.port = $(management_port "$1")
log.file.level = info
END
        if [ "$tls" = yes ]; then
            cat <<END
listeners.ssl.1 = 127.0.0.1:$(tls_port "$1")
ssl_options.cacertfile = $broker_dir/tls/ca.pem
ssl_options.certfile = $broker_dir/tls/server.pem
ssl_options.keyfile = $broker_dir/tls/server-key.pem
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = false
ssl_options.versions.1 = tlsv1.3
ssl_options.versions.2 = tlsv1.2
END
        fi
        if [ "$nodes" -gt 1 ]; then
            # Read at a node's first start only: whoever comes first founds the cluster, the others join it.
            printf 'cluster_formation.peer_discovery_backend = classic_config\n'
            for other in $(each_node); do
                printf 'cluster_formation.classic_config.nodes.%s = %s\n' "$other" "$(node_name "$other")"
            done
        fi
    } >"$node/rabbitmq.conf"
    if [ ! -f "$broker_dir/home/.erlang.cookie" ]; then
        (umask 377 && printf '%s' "$token" >"$broker_dir/home/.erlang.cookie")
    fi
}

# Own process group, no terminal, no inherited lock: a Ctrl-C, a hang-up or a held lock in the caller's shell can't
# reach it. In the broker's folder, as Mnesia leaves its core dumps where it stands. $1: log, $2: where the pid goes,
# then the program with its environment.
unrecorded=''
detached() {
    local log=$1 pid_file=$2
    shift 2
    unrecorded=yes
    set -m
    (
        trap '' HUP
        cd "$broker_dir" || exit
        exec 9>&- </dev/null >>"$log" 2>&1
        exec_in_version env -i "$@"
    ) &
    set +m
    printf '%s\n' $! >"$pid_file"
    unrecorded=''
    disown
}

launch_node() {
    local node
    node=$(node_dir "$1")
    # Of the last run; what is read after a failure has to be of this one.
    rm -f "$node/log/start.log" "$node/rabbit.pid"
    node_environment "$1"
    # The arguments mean nothing to RabbitMQ: they mark the process as ours, from the start script on.
    detached "$node/log/start.log" "$node/pid" "${environment[@]}" \
        "$(rabbitmq_sbin)/rabbitmq-server" -warren_broker "$(node_mark "$1")"
    wait_until 5 node_is_there "$1" || true
}

launch_epmd() {
    [ -z "$(epmd_pid)" ] || return 0
    detached "$broker_dir/epmd.log" "$broker_dir/epmd.pid" "PATH=$PATH" "HOME=$broker_dir/home" \
        epmd -port "$(epmd_port)" -address 127.0.0.1
    # Whoever else took the port would answer too, so both are asked for.
    if ! wait_until 10 something_listens "$(epmd_port)" || epmd_is_gone; then
        fail "epmd does not listen on port $(epmd_port): $(tail -n 3 "$broker_dir/epmd.log")"
    fi
}

# Prints the pid when the recorded process still is what we started. A pid alone proves nothing: the number may have
# passed on.
verified_pid() {
    local pid command try
    [ -f "$1" ] || return 0
    pid=$(cat "$1")
    case $pid in '' | *[!0-9]*) return 0 ;; esac
    # While a process becomes the next program of the start script's chain, it has no command line for a moment.
    for try in 1 2 3; do
        command=" $(ps -ww -o stat= -o command= -p "$pid" 2>/dev/null)"
        case $command in
        ' ' | ' Z'*) return 0 ;;
        *"$2"*)
            printf '%s' "$pid"
            return 0
            ;;
        esac
        [ "$try" -eq 3 ] || sleep 0.1
    done
}

node_pid() { verified_pid "$(node_dir "$1")/pid" "$(node_mark "$1")"; }
node_is_gone() { [ -z "$(node_pid "$1")" ]; }
node_is_there() { [ -n "$(node_pid "$1")" ]; }

epmd_pid() { verified_pid "$broker_dir/epmd.pid" "epmd -port $(epmd_port) "; }

# A node speaks AMQP only once it has started. Prints the version that it announces in Connection.Start.
node_version() {
    local piece text='' length LC_ALL=C
    exec 7<>"/dev/tcp/127.0.0.1/$(amqp_port "$1")" || return 1
    printf 'AMQP\0\0\011\001' >&7
    # The field reads "version", "S", four bytes of length, the text. read splits at the zero bytes, so the text begins
    # with the last byte of its length.
    while IFS= read -r -t 3 -d '' piece <&7; do
        case $text$piece in
        *versionS) text=versionS ;;
        versionS?*)
            printf -v length '%d' "'${piece:0:1}"
            printf '%s' "${piece:1:length}"
            exec 7>&-
            return 0
            ;;
        *) [ "$text" = versionS ] || text='' ;;
        esac
    done
    exec 7>&-
    return 1
}

node_answers() { [ -n "$(node_version "$1" 2>/dev/null)" ] && something_listens "$(management_port "$1")"; }

# rabbitmqctl against node $1.
ctl() (
    node=$(node_name "$1")
    node_environment "$1"
    shift
    exec_in_version env -i "${environment[@]}" "$(rabbitmq_sbin)/rabbitmqctl" -n "$node" "$@"
)

# $1: seconds; then the command that has to succeed.
wait_until() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $deadline ] || return 1
        sleep 0.2
    done
}

# Asks all the nodes given to end, at once, as that is faster than one after another. Then insists.
end_nodes() {
    signal_nodes TERM "$@"
    local node
    for node in "$@"; do
        wait_until 30 node_is_gone "$node" || say "broker $name: node $node did not end within 30 s of SIGTERM, killing it"
    done
    kill_nodes "$@"
}

# For nodes whose data is thrown away next: an orderly end takes RabbitMQ six seconds and saves nothing.
kill_nodes() {
    signal_nodes KILL "$@"
    local node
    for node in "$@"; do
        wait_until 10 node_is_gone "$node" || fail "node $node (pid $(node_pid "$node")) of broker '$name' can't be killed."
        rm -f "$(node_dir "$node")/pid"
    done
}

signal_nodes() {
    local signal=$1 node pid
    shift
    for node in "$@"; do
        pid=$(node_pid "$node")
        [ -z "$pid" ] || kill -"$signal" "$pid" 2>/dev/null || true
    done
}

end_epmd() {
    local pid
    pid=$(epmd_pid)
    if [ -n "$pid" ]; then
        kill -TERM "$pid" 2>/dev/null || true
        wait_until 5 epmd_is_gone || kill -KILL "$pid" 2>/dev/null || true
        wait_until 5 epmd_is_gone || fail "epmd (pid $pid) of broker '$name' can't be killed."
    fi
    rm -f "$broker_dir/epmd.pid"
}

epmd_is_gone() { [ -z "$(epmd_pid)" ]; }
