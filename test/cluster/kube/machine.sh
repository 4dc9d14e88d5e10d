#!/bin/sh
# Makes the machine of a node out of the namespaces that it is the first process of: $1 is the folder of the cluster, $2 the
# program that stays. Whatever is mounted, linked or routed here is gone with the last process in these namespaces.
set -eu

mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs -o mode=755 slipway /run
# What kubelet and the plugins write to their usual places goes to the cluster's folder.
for folder in lib log; do
  mkdir -p "$1/machine/$folder/upper" "$1/machine/$folder/work"
  mount -t overlay -o "lowerdir=/var/$folder,upperdir=$1/machine/$folder/upper,workdir=$1/machine/$folder/work" \
    slipway "/var/$folder"
done
# Containers may ask to see what is mounted later, as on any node.
mount --make-rshared /

# The kubelet wants these settings of the kernel. They are not the node's alone, so it gets files that say what it wants.
for setting in vm/overcommit_memory:1 vm/panic_on_oom:0 kernel/panic:10 kernel/panic_on_oops:1 \
  kernel/keys/root_maxkeys:1000000 kernel/keys/root_maxbytes:25000000; do
  file=/run/${setting##*/}
  echo "${setting#*:}" >"$file"
  mount --bind "$file" "/proc/sys/${setting%:*}"
done

# All pods are under one cgroup in each hierarchy; what stops the cluster removes it.
findmnt --noheadings --list --output TARGET --types cgroup,cgroup2 | while read -r root; do
  # The second version gives children only those controllers that the parent hands on.
  if [ -e "$root/cgroup.subtree_control" ]; then
    tr ' ' '\n' <"$root/cgroup.controllers" | while read -r controller; do
      echo "+$controller" >"$root/cgroup.subtree_control" || : # kubelet names one that it misses
    done
  fi
  mkdir "$root/${1##*/}"
done

ip link set lo up
ip link add slipway0 type bridge
ip address add 10.244.0.1/16 dev slipway0
ip link set slipway0 up
# Without a route an address of a Service fails before kube-proxy's rules see it. This one leads to pods only.
ip route add default dev slipway0

: >"$1/machine/ready"
exec "$2"
