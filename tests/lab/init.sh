#!/bin/bash
# Process 1 of one lab host: init.sh NAME BASE KIND STATEDIR READY_FD
set -e
name=$1 base=$2 kind=$3 dir=$4 ready=$5 root=$2/$1
mount --make-rprivate /
# /proc is still the outer one, so this is our process id as the machine sees it, with our start time
read -r stat </proc/self/stat
echo "$stat" >"$root/init.stat"
hostname "$name"
# drop what other people's mounts leaked in, else their loop devices and network namespaces stay busy
awk -v labs="${base%-*}-" '{ p = $5 }
  index(p, labs) == 1 || p ~ "^/run/netns/" || p ~ "^/var/lib/(lxd|incus)(/|$)" || p ~ "^/var/snap/lxd/" { print p }
' /proc/self/mountinfo | sort -r | while read -r m; do umount -l "$m" 2>/dev/null || true; done
mount -t proc proc /proc
v2=
[ -e /sys/fs/cgroup/cgroup.procs ] && v2=1
controllers=$(cd /sys/fs/cgroup && ls)
mount -t sysfs sysfs /sys # the sysfs of this network namespace; it hides the cgroups, so mount them again
if [ -n "$v2" ]; then
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
else
  mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
  for c in $controllers; do
    mkdir "/sys/fs/cgroup/$c"
    case $c in
      unified) mount -t cgroup2 cgroup2 "/sys/fs/cgroup/$c" ;;
      systemd) mount -t cgroup -o none,name=systemd cgroup "/sys/fs/cgroup/$c" ;;
      *) mount -t cgroup -o "$c" cgroup "/sys/fs/cgroup/$c" || rmdir "/sys/fs/cgroup/$c" ;;
    esac
  done
fi
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/sshd /run/lock "$dir"
mount --bind "$root/$kind" "$dir"
mount --bind "$root/home" /root
[ ! -e /etc/hosts ] || mount --bind "$base/etc-hosts" /etc/hosts
ulimit -n 1048576 2>/dev/null || ulimit -n "$(ulimit -Hn)"
echo up >&"$ready"
eval "exec $ready>&-"
cd /
trap 'exit 0' TERM
while :; do
  sleep 86400 &
  wait $! # bash reaps the orphans
done
