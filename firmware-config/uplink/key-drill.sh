#!/bin/sh
# The key ceremony and every accident of docs/operations.md, played through in a temporary folder with real commands.
#
#   firmware-config/uplink/key-drill.sh PACKAGE NEWER_PACKAGE
#
# Two versions of one model package.  EDGEAD is the command (default: edgead).  It ends with "drill: all right", or at
# the first step that is not.
set -eu

model=$1 newer=$2
edgead=${EDGEAD:-edgead}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
umask 077

say() { printf '\n== %s\n' "$*"; }
# The command must end with this exit code.
expect() {
    wanted=$1; shift
    code=0; "$@" || code=$?
    [ "$code" -eq "$wanted" ] || { echo "drill: exit code $code, expected $wanted: $*" >&2; exit 1; }
}
# The model that a device runs must be this version.
runs() {
    $edgead model list -c "$1.toml" | grep -q "^active .* $2 " || { echo "drill: $1 does not run $2" >&2; exit 1; }
}
keyid() { basename "$1" .pub | sed 's/.*-//'; }
device() {
    cat > "$1.toml" << TOML
[node]
id = "$1"
state_dir = "state-$1"
[uplink]
repository = "http://127.0.0.1:9/"
group = "presses"
[[series]]
topic = "press/{variable}"
TOML
    $edgead sync -c "$1.toml" --init-root root.json --sha256 "$sha256"
}

say "1. Anna, Ben and Cleo make a root key each, on a stick of their own, with a passphrase of their own"
for name in anna ben cleo; do
    mkdir "$name"
    echo "the passphrase of $name" > "$name/passphrase"
    $edgead publish key root --keys "$name" --passphrase-file "$name/passphrase"
done

say "2. The ceremony: two sticks, an offline machine, the first root"
mkdir release online
echo "the passphrase of the release desk" > release/passphrase
$edgead publish init --repo repo --keys release --keys anna --keys ben \
    --passphrase-file release/passphrase --passphrase-file anna/passphrase --passphrase-file ben/passphrase \
    --root-key anna/root-*.pub --root-key ben/root-*.pub --root-key cleo/root-*.pub
# the server signs by itself every day, so its keys have no passphrase: rotate them to keys made there
$edgead publish key snapshot --keys online
$edgead publish key timestamp --keys online
all="--keys release --keys anna --keys ben --keys online --passphrase-file release/passphrase
     --passphrase-file anna/passphrase --passphrase-file ben/passphrase"
$edgead publish rotate snapshot --repo repo $all --add online/snapshot-*.pub
$edgead publish rotate timestamp --repo repo $all --add online/timestamp-*.pub
rm release/snapshot-* release/timestamp-*
cp repo/metadata/1.root.json root.json
sha256=$(sha256sum root.json | cut -d ' ' -f 1)
expect 0 $edgead publish status --repo repo --keys online

say "3. Devices get the root on another way than the network; a wrong one is refused"
device press1
expect 1 $edgead sync -c press1.toml --init-root root.json --sha256 00ff

say "4. A release: signed at the desk, released by the server, taken by the device"
desk="--repo repo --keys release --passphrase-file release/passphrase"
$edgead publish add "$model" --group presses $desk
expect 0 $edgead sync -c press1.toml --from repo
$edgead publish refresh --repo repo --keys online
expect 0 $edgead sync -c press1.toml --from repo
version=$($edgead model list -c press1.toml | awk '/^active/ { print $3 }')

say "5. A newer one, to the smallest share first, then to all"
$edgead publish add "$newer" --group presses --share 0.0001% $desk
$edgead publish refresh --repo repo --keys online
expect 0 $edgead sync -c press1.toml --from repo
runs press1 "$version"
name=$($edgead publish status --repo repo | awk '/^release/ { getline; print $1; exit }')
version2=$($edgead publish status --repo repo | awk '/^release/ { getline; print $2; exit }')
$edgead publish rollout "$name $version2" --share 100% $desk
$edgead publish refresh --repo repo --keys online
expect 0 $edgead sync -c press1.toml --from repo
runs press1 "$version2"

say "6. It was a bad one: taken back"
$edgead publish revoke "$name $version2" $desk
$edgead publish refresh --repo repo --keys online
expect 0 $edgead sync -c press1.toml --from repo
runs press1 "$version"

say "7. The server was broken into: snapshot and timestamp keys are stolen"
cp -r repo thief
cp -r online thief-keys
$edgead publish key snapshot --keys online
$edgead publish key timestamp --keys online
for role in snapshot timestamp; do
    new=$(ls -t online/$role-*.pub | head -n 1)
    $edgead publish rotate $role --repo repo $all --add "$new"
done
expect 0 $edgead sync -c press1.toml --from repo
$edgead publish refresh --repo thief --keys thief-keys
cp repo/metadata/*.root.json thief/metadata/
expect 3 $edgead sync -c press1.toml --from thief
runs press1 "$version"

say "8. The release desk's targets key is stolen: a new one, and the online keys with it"
$edgead publish rotate targets --repo repo $all
for role in snapshot timestamp; do
    $edgead publish key $role --keys online
    new=$(ls -t online/$role-*.pub | head -n 1)
    $edgead publish rotate $role --repo repo $all --add "$new"
done
expect 0 $edgead sync -c press1.toml --from repo

say "9. Ben's stick is lost: Anna and Cleo replace his key"
$edgead publish key root --keys ben2 --passphrase-file ben/passphrase
$edgead publish rotate root --repo repo --keys anna --keys cleo --passphrase-file anna/passphrase \
    --passphrase-file cleo/passphrase --add ben2/root-*.pub --remove "$(keyid ben/root-*.pub)"
rm -r ben
expect 0 $edgead sync -c press1.toml --from repo

say "10. One holder alone can do nothing"
expect 1 $edgead publish rotate root --repo repo --keys anna --passphrase-file anna/passphrase

say "11. A device that slept from the first root on finds its way through every rotation"
device press2
expect 0 $edgead sync -c press2.toml --from repo
runs press2 "$version"

say "12. Two root keys are lost: nobody can change the root any more; devices run on, and get a new root by hand"
rm -r anna cleo
expect 1 $edgead publish rotate root --repo repo --keys ben2 --passphrase-file release/passphrase
runs press1 "$version"
mkdir again
$edgead publish init --repo repo2 --keys again --root-keys 2
$edgead publish add "$model" --repo repo2 --keys again
expect 3 $edgead sync -c press1.toml --from repo2
cp repo2/metadata/1.root.json root.json
sha256=$(sha256sum root.json | cut -d ' ' -f 1)
$edgead sync -c press1.toml --init-root root.json --sha256 "$sha256"
expect 0 $edgead sync -c press1.toml --from repo2
runs press1 "$version"

printf '\ndrill: all right\n'
