#!/bin/sh
# The main job, shown: an agent of its own, pods that live, fail and are restarted, what they see, and how they go.
# Called by `./dev demo`, which finds a kernel that will do; needs root, `minikubelet` in the PATH and nothing else.
set -eu

here=$(dirname "$(readlink -f "$0")")
root=$(mktemp -d /run/mk-demo.XXXXXX)
mk() { minikubelet --root "$root" "$@"; }
say() { printf '\n\033[1m# %s\033[0m\n' "$*"; }
show() { printf '$ minikubelet %s\n' "$*"; mk "$@"; }

# until_seen TEXT SECONDS COMMAND…: run the command until its output has the text, then show it
until_seen() {
    text=$1 tries=$(($2 * 5))
    shift 2
    until mk "$@" 2>/dev/null | grep -q -- "$text"; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || { mk "$@"; echo "demo: never saw '$text'" >&2; exit 1; }
        sleep 0.2
    done
    show "$@"
}

start_agent() {
    minikubelet --root "$root" agent --bridge mkdemo --pod-cidr 10.244.77.0/24 --remove-on-exit \
        >"$root/ready" 2>>"$root/agent.log" &
    agent=$!
    head -n 1 "$root/ready"
}

finish() {
    code=$?
    if [ -n "${agent:-}" ]; then
        mk delete pods --all --now >/dev/null 2>&1 || true
        kill "$agent" 2>/dev/null || true
        wait "$agent" || true
    fi
    [ $code -eq 0 ] || tail -n 20 "$root/agent.log" >&2
    rm -rf "$root"
    exit $code
}
trap finish EXIT
trap 'exit 130' INT TERM

say "An agent: API, store, one worker per pod. All its state is below $root"
mkfifo "$root/ready"
start_agent

say "One container, on the node's own root file system; its process is pid 1 of its world"
show apply -f "$here/01-one-container.yaml"
until_seen 'Running' 20 get pods -o wide
until_seen 'I am pid 1' 20 logs hello
show exec hello -- ls -l /proc/self/ns

say "Two containers, one network and one IPC namespace"
show apply -f "$here/02-shared-namespaces.yaml"
until_seen 'segments: 1' 60 logs pair -c client

if grep -qw memory "$(awk '$9 == "cgroup2" || $10 == "cgroup2" {print $5; exit}' /proc/self/mountinfo)/cgroup.controllers"; then
    say "Limits are cgroup files; beyond the memory limit the kernel kills"
    show apply -f "$here/03-limits.yaml" -f "$here/04-out-of-memory.yaml"
    until_seen 'memory.max' 20 logs limited
    until_seen 'OOMKilled' 20 get pods
else
    say "This node's cgroup2 holds no controllers: a pod with limits is refused, with the reason"
    show apply -f "$here/03-limits.yaml" || true
fi

say "Failing and being restarted: at once, then later and later"
show apply -f "$here/07-restart-always.yaml"
until_seen 'CrashLoopBackOff' 30 get pods
until_seen 'Back-off' 30 events --for pod/crashing

say "A liveness probe that fails three times, and a readiness probe that decides what is ready"
show apply -f "$here/08-liveness-exec.yaml" -f "$here/09-readiness-http.yaml"
until_seen 'will be restarted' 60 events --for pod/ailing
until_seen 'warming-up *1/1' 60 get pods

say "The agent is killed (SIGKILL) and started again: no pod notices"
kill -9 "$agent"
wait "$agent" 2>/dev/null || true
start_agent
until_seen 'hello *1/1 *Running *0' 20 get pods

say "And everything goes: processes, cgroups, links, mounts"
show delete pods --all --grace-period=1
show get pods
