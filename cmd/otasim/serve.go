package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server"
	"github.com/leapslot/ota/simulator/server/openapi"
)

// serveFlags are the flags of otasim serve.
type serveFlags struct {
	data, mqtt, http     string
	doors                doorFlags
	accessKey, publicURL string
	maxPushRate          string
	clockSpeed           int
	callsPerKey          int
	maxDownloads         int
	history              int
	historyAge           time.Duration
	hook                 hookFlags
	verbose              bool
}

// newServeCommand makes `otasim serve`: the cloud.
func newServeCommand() *cobra.Command {
	f := &serveFlags{}
	cmd := &cobra.Command{
		Use:   "serve --data DIR --mqtt ADDR --http ADDR --access-key ID:SECRET",
		Short: "Run the cloud",
		Long: `Runs the cloud: devices on MQTT, and on HTTP the cloud API at /, packages at /p/,
/metrics and /healthz. Everything is kept in DIR, which is made when it is not there.

With --clock-speed N schedules, retries, timeouts and rates run N times faster, so that
a rollout of a week is rehearsed in hours; every HTTP answer says so in X-Clock-Speed,
and in X-Clock-Now what time it is there (milliseconds, as ScheduleTime). What devices
and users do takes as long as ever: a timeout of 10 minutes at 60 is 10 seconds for a
device. Requests are still signed with the world's time, and upload forms, download URLs
and keep-alives keep theirs.

Prints "mqtt ADDR" and "http ADDR" with the real ports (port 0 is allowed), those of
--mqtts, --ws and --wss, then "ready", one a line. Logs are on stderr. SIGTERM and SIGINT stop it cleanly.`,
		Example: `  otasim serve --data /var/lib/otasim --mqtt :1883 --http :8080 --access-key id:secret
  otasim serve --data data --mqtt 127.0.0.1:0 --http 127.0.0.1:0 --access-key id:secret --max-push-rate unlimited
  otasim serve --data data --mqtt :1883 --mqtts :8883 --tls-cert cert.pem --tls-key key.pem \
    --http :80 --public-url http://ota.example.com --access-key id:secret`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.serve(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.data, "data", "", "directory that everything is kept in")
	fl.StringVar(&f.mqtt, "mqtt", "", "address for devices, such as :1883")
	fl.StringVar(&f.http, "http", "", "address of the API and the packages, such as :8080")
	f.doors.add(cmd)
	fl.StringVar(&f.accessKey, "access-key", "", "an administrator's access key of the API, ID:SECRET (or "+accessKeyEnv+"; without it only those of otasim key are known)")
	fl.StringVar(&f.publicURL, "public-url", "", "how devices reach the HTTP side (default http:// and the address of --http)")
	fl.StringVar(&f.maxPushRate, "max-push-rate", strconv.Itoa(simulator.MaxPushRate), "most devices a minute that a batch may ask for, or unlimited")
	fl.IntVar(&f.clockSpeed, "clock-speed", 1, "how many times faster than the world's the clock of the rules runs: 60 rehearses an hour in a minute")
	fl.IntVar(&f.callsPerKey, "max-call-rate", 0, "most calls of the API a second that an access key may make, 0 for any number")
	fl.IntVar(&f.maxDownloads, "max-downloads", 0, "most downloads over HTTP at once, 0 for any number; one more is answered 503 with Retry-After")
	fl.IntVar(&f.history, "history", server.DefaultHistory, "messages of devices, and what became of them, that are kept to be looked at in the console; 0 keeps none")
	fl.DurationVar(&f.historyAge, "history-age", server.DefaultHistoryAge, "how long they are kept, such as 168h")
	f.hook.add(fl)
	fl.BoolVarP(&f.verbose, "verbose", "v", false, "log what is dropped and refused too")
	return cmd
}

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("%s takes no argument, such as %q (see %s --help)", cmd.Name(), args[0], cmd.CommandPath())
	}
	return nil
}

// check reads the flags that need more than a string.
func (f *serveFlags) check() (key openapi.Key, rate int, err error) {
	if f.accessKey == "" {
		f.accessKey = os.Getenv(accessKeyEnv)
	}
	for name, v := range map[string]string{"data": f.data, "mqtt": f.mqtt, "http": f.http} {
		if v == "" {
			return key, 0, usagef("--%s is missing (see otasim serve --help)", name)
		}
	}
	if f.accessKey != "" { // else server.New wants a stored one
		if key, err = openapi.ParseKey(f.accessKey); err != nil {
			return key, 0, usagef("--access-key: %v", err)
		}
		key.Account = key.ID
	}
	if err := f.doors.check(); err != nil {
		return key, 0, err
	}
	if f.publicURL != "" {
		u, err := url.Parse(f.publicURL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return key, 0, usagef("--public-url is http://HOST or https://HOST, not %q", f.publicURL)
		}
	}
	if f.callsPerKey < 0 {
		return key, 0, usagef("--max-call-rate is 0 or more, not %d", f.callsPerKey)
	}
	if f.maxDownloads < 0 {
		return key, 0, usagef("--max-downloads is 0 or more, not %d", f.maxDownloads)
	}
	if f.history < 0 || f.history > server.MaxHistory {
		return key, 0, usagef("--history is 0 to %d, not %d", server.MaxHistory, f.history)
	}
	if f.historyAge < time.Minute {
		return key, 0, usagef("--history-age is a minute or more, not %v (--history 0 keeps nothing)", f.historyAge)
	}
	if f.clockSpeed < 1 || f.clockSpeed > server.MaxClockSpeed {
		return key, 0, usagef("--clock-speed is 1 to %d, not %d", server.MaxClockSpeed, f.clockSpeed)
	}
	rate = simulator.Unlimited
	if f.maxPushRate != "unlimited" {
		rate, err = strconv.Atoi(f.maxPushRate)
		if err != nil || rate < simulator.MinPushRate || rate > simulator.Unlimited {
			return key, 0, usagef("--max-push-rate is a number from %d, or unlimited, not %q", simulator.MinPushRate, f.maxPushRate)
		}
	}
	return key, rate, nil
}

// heapFloor keeps the garbage collector from walking over the stack of every device
// each time that a heap of a few MiB has doubled: so many bytes count as used and are
// never touched, so that the kernel never gives memory for them.
const heapFloor = 64 << 20

// serve runs the cloud until ctx ends.
func (f *serveFlags) serve(ctx context.Context, out, logs io.Writer) error {
	floor := make([]byte, heapFloor)
	defer runtime.KeepAlive(floor)
	key, rate, err := f.check()
	if err != nil {
		return err
	}
	config, err := f.doors.config()
	if err != nil {
		return err
	}
	hook, err := f.hook.config()
	if err != nil {
		return err
	}
	var open listeners
	defer open.close()
	mqtt, err := open.listen("--mqtt", f.mqtt)
	if err != nil {
		return err
	}
	web, err := open.listen("--http", f.http)
	if err != nil {
		return err
	}
	doors, err := f.doors.open(&open, config)
	if err != nil {
		return err
	}
	if f.history == 0 {
		f.history = -1 // for the server 0 is its default
	}
	level := slog.LevelInfo
	if f.verbose {
		level = slog.LevelDebug
	}
	s, err := server.New(ctx, server.Config{
		Dir: f.data, PublicURL: f.reachable(web.Addr()), AccessKey: key, Webhook: hook, CallsPerKey: f.callsPerKey, MaxPushRate: rate, ClockSpeed: f.clockSpeed,
		MaxDownloads: f.maxDownloads, History: f.history, HistoryAge: f.historyAge, ConnectsPerMinute: f.doors.connectsPerMinute,
		Logger: slog.New(slog.NewTextHandler(logs, &slog.HandlerOptions{Level: level})),
	})
	if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	fmt.Fprintf(out, "mqtt %s\nhttp %s\n", mqtt.Addr(), web.Addr())
	devices := []net.Listener{mqtt}
	for _, d := range doors {
		fmt.Fprintf(out, "%s %s\n", d.name, d.Addr())
		devices = append(devices, d.Listener)
	}
	fmt.Fprintln(out, "ready")
	return errors.Join(s.Run(ctx, devices, []net.Listener{web}), s.Close())
}

// reachable is the public URL: the flag, or the address that is listened on. An
// address that means every interface is reached on this machine only.
func (f *serveFlags) reachable(addr net.Addr) string {
	if f.publicURL != "" {
		return strings.TrimRight(f.publicURL, "/")
	}
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return "http://" + addr.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// listeners are closed when the server does not come to serve them.
type listeners []net.Listener

func (ls *listeners) listen(flag, addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%w: %s %s cannot be listened on: %w (is another server running?)", server.ErrConfig, flag, addr, err)
	}
	*ls = append(*ls, l)
	return l, nil
}

func (ls *listeners) close() {
	for _, l := range *ls {
		_ = l.Close() // closed already when it was served
	}
}
