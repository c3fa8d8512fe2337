# What commands tell on stdout: URLs, status, shell variables.
# shellcheck shell=bash disable=SC2154

print_urls() {
    local node
    for node in $(each_node); do
        printf 'node %s  RabbitMQ %s\n' "$node" "$(node_version "$node" 2>/dev/null || echo 'not running')"
        printf '  amqp        %s\n' "$(amqp_url "$node")"
        [ "$tls" != yes ] || printf '  amqps       %s\n' "$(tls_url "$node")"
        printf '  management  %s\n' "$(management_url "$node")"
    done
    [ "$tls" != yes ] || printf 'certificates  %s\n' "$broker_dir/tls"
}

print_status() {
    load_broker "$name"
    if ! broker_exists; then
        [ "$json" != yes ] || printf '{"name":"%s","nodes":[]}\n' "$name"
        say "broker $name: does not exist"
        exit 3
    fi
    local node pid version_found state running=0 separator=''
    [ "$json" != yes ] || printf '{"name":"%s","version":"%s","tls":%s,"nodes":[' "$name" "$version" "$([ "$tls" = yes ] && echo true || echo false)"
    for node in $(each_node); do
        version_found=''
        pid=$(node_pid "$node")
        state=stopped
        if [ -n "$pid" ]; then
            state=unanswering
            if node_answers "$node"; then
                state=running running=$((running + 1)) version_found=$(node_version "$node")
            fi
        fi
        if [ "$json" = yes ]; then
            printf '%s{"node":%s,"nodeName":"%s","state":"%s","pid":%s,"version":"%s","url":"%s","managementURL":"%s","log":"%s"}' \
                "$separator" "$node" "$(node_name "$node")" "$state" "${pid:-null}" "$version_found" \
                "$(amqp_url "$node")" "$(management_url "$node")" "$(node_dir "$node")/log/rabbit.log"
            separator=,
        else
            printf '%-12s node %s  %-11s  RabbitMQ %-7s  pid %-7s  %s\n' "$name" "$node" "$state" "${version_found:--}" \
                "${pid:--}" "$(amqp_url "$node")"
        fi
    done
    [ "$json" != yes ] || printf ']}\n'
    [ $running -ne "$nodes" ] || exit 0
    [ $running -eq 0 ] || exit 1
    exit 3
}

print_env() {
    local node urls='' tls_urls=''
    load_broker "$name"
    require_running
    for node in $(each_node); do
        urls="$urls,$(amqp_url "$node")"
        tls_urls="$tls_urls,$(tls_url "$node")"
    done
    export_line WARREN_BROKER_NAME "$name"
    export_line WARREN_BROKER_URL "$(amqp_url 1)"
    export_line WARREN_BROKER_URLS "${urls#,}"
    export_line WARREN_BROKER_MANAGEMENT_URL "$(management_url 1)"
    [ "$tls" = yes ] || return 0
    export_line WARREN_BROKER_TLS_URL "$(tls_url 1)"
    export_line WARREN_BROKER_TLS_URLS "${tls_urls#,}"
    export_line WARREN_BROKER_CA_FILE "$broker_dir/tls/ca.pem"
    export_line WARREN_BROKER_CLIENT_CERTIFICATE_FILE "$broker_dir/tls/client.pem"
    export_line WARREN_BROKER_CLIENT_KEY_FILE "$broker_dir/tls/client-key.pem"
}

# In single quotes, and a quote in a path as '\'', for the shell that evaluates it.
export_line() { printf "export %s='%s'\n" "$1" "$(printf '%s' "$2" | sed "s/'/'\\\\''/g")"; }
