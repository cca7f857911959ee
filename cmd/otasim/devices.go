package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator/server/openapi"
)

const (
	maxFleet  = 10_000_000 // devices of one devices create
	listPage  = 50         // devices of one page, the most that the real cloud gives
	pollEvery = time.Second
	pollMost  = 5 * time.Minute
)

// newDevicesCommand makes `otasim devices`.
func newDevicesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "devices",
		Short:   "Make devices for tests",
		Example: "  otasim devices create --endpoint http://127.0.0.1:8080 --access-key id:secret --product KEY --count 1000 --prefix lamp- > devices.csv",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("devices: unknown command %q (see otasim devices --help)", args[0])
			}
			return cmd.Help()
		},
	}
	cmd.AddCommand(newDevicesCreateCommand())
	return cmd
}

// registration is what devices create makes.
type registration struct {
	product, prefix string
	first, count    int
}

func newDevicesCreateCommand() *cobra.Command {
	var f registration
	var endpoint, accessKey string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "create --endpoint URL --access-key ID:SECRET --product KEY --count N --prefix P",
		Short: "Register devices and print them with their secrets",
		Long: `Registers devices with the names P1 to PN, padded with zeros to one length, and
prints product_key,device_name,device_secret as CSV. Works with otasim serve and
with the real cloud. What is printed is registered, also when it fails half way.`,
		Example: "  otasim devices create --endpoint http://127.0.0.1:8080 --access-key id:secret --product KEY --count 1000 --prefix lamp- > devices.csv",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			key, err := openapi.ParseKey(accessKey)
			if err != nil {
				return usagef("devices create: %v (give --access-key ID:SECRET or set %s)", err, accessKeyEnv)
			}
			if err := f.check(); err != nil {
				return err
			}
			client, err := openapi.NewClient(endpoint, key, timeout)
			if err != nil {
				return usagef("devices create: %v (give --endpoint URL or set %s)", err, endpointEnv)
			}
			return f.create(cmd.Context(), client, cmd.OutOrStdout(), terminal(cmd.ErrOrStderr()))
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&endpoint, "endpoint", os.Getenv(endpointEnv), "URL of the cloud API (or "+endpointEnv+")")
	flags.StringVar(&accessKey, "access-key", "", "access key, ID:SECRET (or "+accessKeyEnv+")")
	flags.StringVar(&f.product, "product", "", "key of the product")
	flags.IntVar(&f.count, "count", 0, "how many devices")
	flags.StringVar(&f.prefix, "prefix", "", "what the devices' names begin with")
	flags.IntVar(&f.first, "first", 1, "number of the first device")
	flags.DurationVar(&timeout, "timeout", callTimeout, "of each call")
	cmd.PreRun = func(*cobra.Command, []string) {
		if accessKey == "" { // not as a default: --help would show it
			accessKey = os.Getenv(accessKeyEnv)
		}
	}
	return cmd
}

// check says what is wrong before anything is registered.
func (f *registration) check() error {
	if f.product == "" {
		return usagef("devices create: no product is given (give --product KEY)")
	}
	if f.count < 1 || f.count > maxFleet {
		return usagef("devices create: --count is %d (give 1 to %d)", f.count, maxFleet)
	}
	if f.first < 0 || f.first > maxFleet {
		return usagef("devices create: --first is %d (give 0 to %d)", f.first, maxFleet)
	}
	last := ota.Device{ProductKey: f.product, Name: f.name(f.count - 1)}
	if err := last.Validate(); err != nil {
		return usagef("devices create: %v (check --product and --prefix)", err)
	}
	return nil
}

// name gives the name of the i-th device, counted from 0.
func (f *registration) name(i int) string {
	width := len(strconv.Itoa(f.first + f.count - 1))
	return fmt.Sprintf("%s%0*d", f.prefix, width, f.first+i)
}

// caller makes calls of the cloud API.
type caller interface {
	Call(ctx context.Context, action string, params map[string]string) (json.RawMessage, error)
}

// create registers batch after batch, and prints each before the next.
func (f *registration) create(ctx context.Context, c caller, out, progress io.Writer) error {
	w := csv.NewWriter(out)
	if err := w.Write([]string{"product_key", "device_name", "device_secret"}); err != nil {
		return err
	}
	for from := 0; from < f.count; from += openapi.MaxNames {
		to := min(from+openapi.MaxNames, f.count)
		if err := f.batch(ctx, c, w, from, to); err != nil {
			w.Flush()
			return fmt.Errorf("devices create: %d of %d are registered: %w", from, f.count, err)
		}
		if w.Flush(); w.Error() != nil {
			return fmt.Errorf("devices create: the list cannot be written: %w", w.Error())
		}
		fmt.Fprintf(progress, "\r%d of %d devices", to, f.count)
	}
	fmt.Fprintln(progress)
	return nil
}

// batch registers the devices from..to-1: names are handed in, made to devices, and
// fetched with their secrets.
func (f *registration) batch(ctx context.Context, c caller, w *csv.Writer, from, to int) error {
	params := map[string]string{"ProductKey": f.product}
	for i := from; i < to; i++ {
		params["DeviceName."+strconv.Itoa(i-from+1)] = f.name(i)
	}
	var checked struct{ Data struct{ ApplyId int64 } }
	if err := call(ctx, c, "BatchCheckDeviceNames", params, &checked); err != nil {
		return err
	}
	apply := strconv.FormatInt(checked.Data.ApplyId, 10)
	of := map[string]string{"ProductKey": f.product, "ApplyId": apply}
	if err := await(ctx, c, of, "CHECK"); err != nil {
		return err
	}
	if err := call(ctx, c, "BatchRegisterDeviceWithApplyId", of, nil); err != nil {
		return err
	}
	if err := await(ctx, c, of, "CREATE"); err != nil {
		return err
	}
	return f.list(ctx, c, w, apply, to-from)
}

// list prints the devices of an application.
func (f *registration) list(ctx context.Context, c caller, w *csv.Writer, apply string, want int) error {
	got := 0
	for page := 1; got < want; page++ {
		var answer struct {
			ApplyDeviceList struct {
				ApplyDeviceInfo []struct{ DeviceName, DeviceSecret string }
			}
		}
		params := map[string]string{"ApplyId": apply, "PageSize": strconv.Itoa(listPage), "CurrentPage": strconv.Itoa(page)}
		if err := call(ctx, c, "QueryPageByApplyId", params, &answer); err != nil {
			return err
		}
		devices := answer.ApplyDeviceList.ApplyDeviceInfo
		if len(devices) == 0 {
			return fmt.Errorf("QueryPageByApplyId gave %d devices where %d were registered (see QueryDevice)", got, want)
		}
		for _, d := range devices {
			if err := w.Write([]string{f.product, d.DeviceName, d.DeviceSecret}); err != nil {
				return err
			}
		}
		got += len(devices)
	}
	return nil
}

// await waits until an application is past a stage, CHECK or CREATE. With otasim it
// is at once; the real cloud takes its time.
func await(ctx context.Context, c caller, apply map[string]string, stage string) error {
	for began := time.Now(); ; {
		var answer struct {
			Data struct {
				Status      string
				InvalidList struct{ Name []string }
			}
		}
		if err := call(ctx, c, "QueryBatchRegisterDeviceStatus", apply, &answer); err != nil {
			return err
		}
		switch d := answer.Data; {
		case d.Status == stage+"_SUCCESS":
			return nil
		case d.Status == stage+"_FAILED":
			first := ""
			if len(d.InvalidList.Name) > 0 {
				first = ", the first of them " + d.InvalidList.Name[0]
			}
			return fmt.Errorf("%d names were refused%s (choose another --prefix or --first)", len(d.InvalidList.Name), first)
		case time.Since(began) > pollMost:
			return fmt.Errorf("the cloud is still at %s after %v (look again later with QueryBatchRegisterDeviceStatus)", d.Status, pollMost)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pollEvery):
		}
	}
}

// call makes a call and reads its answer.
func call(ctx context.Context, c caller, action string, params map[string]string, answer any) error {
	raw, err := c.Call(ctx, action, params)
	if err != nil {
		return advised(err)
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(raw, answer); err != nil {
		return fmt.Errorf("%s: the answer is not understood: %w (is this the cloud API?)", action, err)
	}
	return nil
}

// terminal gives w when it is a terminal, and otherwise nothing to write to.
func terminal(w io.Writer) io.Writer {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return w
	}
	return io.Discard
}
