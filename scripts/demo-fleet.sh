#!/bin/sh
# A cloud and a fleet of devices, most of which do what they are told: how many are
# updated, and what the others do. All of it stays on this machine.
#   scripts/demo-fleet.sh [DEVICES]      leaves build/fleet/report.html
set -eu
devices=${1:-2000}
dir=build/fleet
scenario=testdata/fleet/mixed.toml
export OTASIM_ACCESS_KEY=demo:secret

mkdir -p build
rm -rf "$dir" && mkdir -p "$dir"
bin/otasim serve --data "$dir/data" --mqtt 127.0.0.1:0 --http 127.0.0.1:0 --max-push-rate unlimited >"$dir/serve.out" 2>"$dir/serve.log" &
server=$!
trap 'kill $server 2>/dev/null; wait $server 2>/dev/null || true' EXIT INT TERM
for _ in $(seq 100); do
	grep -q ready "$dir/serve.out" && break
	kill -0 $server || { cat "$dir/serve.log"; exit 1; }
	sleep 0.1
done
mqtt=$(sed -n 's/^mqtt //p' "$dir/serve.out")
export OTASIM_ENDPOINT="http://$(sed -n 's/^http //p' "$dir/serve.out")"

# value NAME: the first "NAME":"value" of an answer.
value() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }

echo "a product, $devices devices, a package of 256 KiB and a batch for all of them"
product=$(bin/otasim cloud CreateProduct --ProductName lamp | value ProductKey)
bin/otasim devices create --product "$product" --count "$devices" --prefix lamp- >"$dir/devices.csv"
dd if=/dev/urandom of="$dir/firmware.bin" bs=1024 count=256 2>/dev/null
url=$(bin/otasim cloud GenerateOTAUploadURL --file "$dir/firmware.bin" | value FirmwareUrl)
package=$(bin/otasim cloud CreateOTAFirmware --ProductKey "$product" --FirmwareName lamp-2 --DestVersion 2.0.0 \
	--FirmwareUrl "$url" --SignMethod SHA256 --NeedToVerify false | value FirmwareId)
job=$(bin/otasim cloud CreateOTAStaticUpgradeJob --ProductKey "$product" --FirmwareId "$package" --TargetSelection ALL \
	--MaximumPerMinute 12000 --RetryInterval 0 --RetryCount 2 | value JobId)

bin/otasim fleet --mqtt "mqtt://$mqtt" --devices "$dir/devices.csv" --scenario "$scenario" --ramp 200/s --quiet 8s \
	--report "$dir/report.html" --json "$dir/report.json" ||
	echo '(a machine that is busy with other things is too slow for a fleet and a cloud at once: the figures say so)'

echo
echo 'what the cloud says of the same devices:'
for status in SUCCEEDED FAILED NOTIFIED IN_PROGRESS QUEUED; do
	total=$(bin/otasim cloud ListOTATaskByJob --JobId "$job" --TaskStatus $status --CurrentPage 1 --PageSize 1 | sed -n 's/.*"Total":\([0-9]*\).*/\1/p')
	printf '  %-12s %s\n' $status "$total"
done
echo "the report: $dir/report.html"
if command -v chromium >/dev/null 2>&1; then
	chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size=1100,1500 \
		--screenshot="$dir/report.png" "file://$PWD/$dir/report.html" >"$dir/chromium.log" 2>&1 && echo "and a picture of it: $dir/report.png"
fi
