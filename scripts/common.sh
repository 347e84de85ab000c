# shellcheck shell=bash disable=SC2034
# Shared by quickstart, test and .ci/run; sourced, never run. Not all of them use every colour.

if [[ -t 1 && -z ${NO_COLOR-} ]]; then
    bold=$'\e[1m' dim=$'\e[2m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'
else
    bold='' dim='' green='' red='' plain=''
fi

say() { printf '%s\n' "${bold}==> $*${plain}"; }
note() { printf '%s\n' "    ${dim}$*${plain}"; }
fail() {
    printf '%s\n' "${red}error:${plain} $1" >&2
    shift
    local hint
    for hint in "$@"; do printf '%s\n' "hint: $hint" >&2; done
    exit 1
}

# delete DIRECTORY…: removes directories with their contents, even while a process that was just ended still writes there (a
# pane process records how its agent ended). Waits up to 10 s; for use in traps, where a failure would become the script's.
delete() {
    local deadline=$((SECONDS + 10))
    until rm -rf "$@" 2>/dev/null; do
        if ((SECONDS >= deadline)); then
            rm -rf "$@" || true
            return
        fi
        sleep 0.1
    done
}

# apt_install PACKAGE…: installs packages as root or through sudo, and says so. Returns 1 if there is no apt-get or no way to
# become root.
apt_install() {
    local as_root=()
    command -v apt-get >/dev/null || return 1
    if [[ $(id -u) -ne 0 ]]; then
        command -v sudo >/dev/null || return 1
        as_root=(sudo)
    fi
    say "installing $* with ${as_root[*]:+sudo }apt-get"
    # Another script may be installing something.
    local install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 install -y -q
        --no-install-recommends)
    # Package lists may be older than the archive: try with the present ones first, then with new ones.
    "${install[@]}" "$@" </dev/null || { "${as_root[@]}" apt-get update -q </dev/null && "${install[@]}" "$@" </dev/null; }
}

# need PROGRAM APT-PACKAGE…: makes sure that PROGRAM is installed.
need() {
    local program=$1
    shift
    command -v "$program" >/dev/null && return
    if ! apt_install "$@"; then
        fail "$program is missing" "macOS: brew install $program" "Fedora: sudo dnf install $program" \
            "Arch: sudo pacman -S $program" "Debian, Ubuntu: sudo apt-get install $*"
    fi
    command -v "$program" >/dev/null || fail "$program is still missing after the installation of $*"
}

need_cargo() {
    # A toolchain that was just installed is not on the PATH of this shell yet.
    PATH=$PATH:${CARGO_HOME:-${HOME:-/nonexistent}/.cargo}/bin
    export PATH
    command -v cargo >/dev/null || fail "cargo, which builds peer, is missing" \
        "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh" "then run this again"
    # The linker that rustc calls, and the compiler of the bundled sqlite.
    need cc gcc libc6-dev
}

# The directory of cargo's build output; CARGO_TARGET_DIR and cargo's configuration may change it.
target_directory() {
    cargo metadata --no-deps --locked --format-version 1 | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p'
}

# name_not_run FILE: prints what tests noted that cannot run on this machine, one line each, which .ci/run repeats at its end.
name_not_run() {
    [[ ! -e $1 ]] || sed 's/^/not run here: /' "$1"
}

# run_tests ARGUMENT…: `cargo test ARGUMENT…`. A case that failed is run once more, alone. If it passes then, a line that begins
# with `unsteady:` names it, as a flaw to fix; if it fails again, run_tests fails. The words of the array `inside`, if any, come
# before each cargo.
inside=()
run_tests() {
    local log target targets cases case listed behind=() failed=0 again not_run
    not_run=$(target_directory)/tmp/not-run
    rm -f "$not_run"
    log=$(mktemp "${TMPDIR:-/tmp}/peer-tests.XXXXXX")
    if "${inside[@]}" cargo test --no-fail-fast "$@" 2>&1 | tee "$log"; then
        rm -f "$log"
        name_not_run "$not_run"
        return
    fi
    name_not_run "$not_run"
    # cargo lists the failed targets at the end, each with the arguments that run it; none if it ran no test.
    # shellcheck disable=SC2016 # cargo's own quotes
    mapfile -t targets < <(sed -n 's/^    `\(-p .*\)`$/\1/p' "$log")
    # libtest lists the failed cases of a target at its end, and cargo says which target is next.
    mapfile -t cases < <(sed -n 's/^    \([a-z_0-9:]*\)$/\1/p' "$log" | sort -u)
    ((${#targets[@]} > 0 && ${#cases[@]} > 0)) || failed=1
    grep '^test .* FAILED$' "$log" || true
    rm -f "$log"
    while (($# > 0)) && [[ $1 != -- ]]; do shift; done
    # The cases to run come from the list of failures, not from the filters of the first run.
    while (($# > 1)); do
        shift
        case $1 in
        --skip) shift ;;
        -*) behind+=("$1") ;;
        esac
    done
    for target in "${targets[@]}"; do
        again=0
        for case in "${cases[@]}"; do
            # shellcheck disable=SC2086 # cargo's own words
            listed=$("${inside[@]}" cargo test -q --locked $target -- --include-ignored --exact --list "$case" 2>/dev/null) || true
            [[ $listed == *"$case: test"* ]] || continue
            again=$((again + 1))
            say "once more, alone: $target $case"
            # shellcheck disable=SC2086 # cargo's own words
            if "${inside[@]}" cargo test --locked $target -- "${behind[@]}" --exact "$case"; then
                printf '%s\n' "unsteady: $case failed, and passed when it was run again"
            else
                failed=1
            fi
        done
        # A target that was killed, or that failed outside its cases, names none.
        ((again > 0)) || failed=1
    done
    return "$failed"
}
