#!/bin/sh
# uboot.sh DIR
# Builds a U-Boot of our own from Debian's source for QEMU's arm64 board: with
# its own boot counter, and the environment in two copies on the FAT boot
# partition. Makes DIR/u-boot.bin; what is there is not made again.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mkdir -p "$1" && cd "$1" && pwd)
[ ! -e "$dir/u-boot.bin" ] || exit 0
"$here/../scripts/need.sh" make:make gcc:gcc aarch64-linux-gnu-gcc:gcc-aarch64-linux-gnu bison:bison flex:flex bc:bc dtc:device-tree-compiler xz:xz-utils
[ -e /usr/include/openssl/evp.h ] || "$here/../scripts/need.sh" libssl-dev-is-missing:libssl-dev

apt=$dir/apt
mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
: > "$apt/status"
. /etc/os-release
echo "deb-src http://deb.debian.org/debian $VERSION_CODENAME main" > "$apt/sources.list"
cat > "$apt/apt.conf" <<CONF
Dir::State "$apt";
Dir::State::status "$apt/status";
Dir::State::lists "$apt/lists";
Dir::Cache "$apt/cache";
Dir::Etc::sourcelist "$apt/sources.list";
Dir::Etc::sourceparts "$apt/none";
APT::Sandbox::User "root";
Acquire::Languages "none";
CONF
cd "$dir"
if [ ! -e source/Makefile ]; then
	APT_CONFIG="$apt/apt.conf" apt-get update -q >/dev/null
	APT_CONFIG="$apt/apt.conf" apt-get source --download-only -q u-boot >/dev/null
	mkdir -p source
	tar -x -f u-boot_*.orig.tar.xz -C source --strip-components=1
fi
cat > ours.config <<'CONF'
# CONFIG_ENV_IS_IN_FLASH is not set
CONFIG_ENV_IS_IN_FAT=y
CONFIG_ENV_FAT_INTERFACE="virtio"
CONFIG_ENV_FAT_DEVICE_AND_PART="0:1"
CONFIG_ENV_FAT_FILE="uboot.env"
CONFIG_ENV_FAT_FILE_REDUND="uboot2.env"
CONFIG_SYS_REDUNDAND_ENVIRONMENT=y
CONFIG_ENV_SIZE=0x4000
CONFIG_BOOTCOUNT_LIMIT=y
CONFIG_BOOTCOUNT_ENV=y
CONFIG_CMD_BOOTCOUNT=y
CONFIG_CMD_NVEDIT_LOAD=y
CONFIG_USE_PREBOOT=y
CONFIG_PREBOOT="virtio scan; env load"
CONFIG_BOOTDELAY=0
CONFIG_FAT_WRITE=y
# CONFIG_TOOLS_MKEFICAPSULE is not set
CONF
cd source
make -s qemu_arm64_defconfig
scripts/kconfig/merge_config.sh -m .config ../ours.config >/dev/null
make -s olddefconfig
make -s -j2 CROSS_COMPILE=aarch64-linux-gnu- u-boot.bin
while read -r setting; do # what the tree does not know it drops without a word
	case $setting in
	CONFIG_*) grep -qxF "$setting" .config || { echo "uboot.sh: $setting was not taken" >&2; exit 1; } ;;
	esac
done < ../ours.config
cp u-boot.bin ..
