package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/openapi"
)

// callTimeout bounds a call of the cloud API. An upload is not bounded.
const callTimeout = time.Minute

// Environment variables that stand in for flags, so that a secret need not be seen
// in a list of processes.
const (
	endpointEnv  = "OTASIM_ENDPOINT"
	accessKeyEnv = "OTASIM_ACCESS_KEY"
)

// newCloudCommand makes `otasim cloud`: one call of any action of the cloud API.
func newCloudCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "cloud ACTION --endpoint URL --access-key ID:SECRET [--Param value ...]",
		Short: "Call an action of the cloud API",
		Long: `Calls one action of the cloud API, of otasim serve or of the real cloud, and
prints its answer as JSON.

Every flag that begins with a capital letter is a parameter of the action. Given
several times it is a list: --SrcVersion 1.0 --SrcVersion 1.1 is sent as
SrcVersion.1 and SrcVersion.2; --Tag.1.Key and such can be written out too. A value
that begins with -- is written as --Param=VALUE.

  --endpoint URL        of the API (or ` + endpointEnv + `)
  --access-key ID:SECRET  (or ` + accessKeyEnv + `)
  --file PATH           with ` + uploadAction + ` or ` + listAction + `: uploads the
                        file, a package or a list of devices, at once
  --timeout DURATION    of the call, default ` + callTimeout.String(),
		Example: `  otasim cloud CreateProduct --endpoint http://127.0.0.1:8080 --access-key id:secret --ProductName lamp
  otasim cloud ` + uploadAction + ` --file rootfs.bin ...
  otasim cloud CreateOTAVerifyJob --FirmwareId ID --ProductKey KEY --TargetDeviceName lamp-1 ...`,
		DisableFlagParsing: true, // parameters are not known beforehand
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return openapi.Actions(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := parseCloudCall(args, os.Getenv)
			if errors.Is(err, errHelp) {
				return cmd.Help()
			}
			if err != nil {
				return err
			}
			return c.run(cmd.Context(), cmd.OutOrStdout())
		},
	}
}

// usageError is an error in the command line itself: exit code 64.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

var errHelp = errors.New("help is asked for")

// cloudCall is one call, as the command line says it.
type cloudCall struct {
	action   string
	endpoint string
	key      openapi.Key
	file     string
	timeout  time.Duration
	params   map[string]string
}

// parseCloudCall reads the arguments after `cloud`.
func parseCloudCall(args []string, env func(string) string) (*cloudCall, error) {
	own := map[string]string{"endpoint": env(endpointEnv), "access-key": env(accessKeyEnv), "file": "", "timeout": callTimeout.String()}
	given := map[string][]string{}
	c := &cloudCall{}
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if arg == "-h" || arg == "--help" {
			return nil, errHelp
		}
		if !strings.HasPrefix(arg, "-") {
			if c.action != "" {
				return nil, usagef("cloud: %q is a second action beside %s (a parameter is written as --%s VALUE)", arg, c.action, arg)
			}
			c.action = arg
			continue
		}
		name, value, ok := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
		if !ok {
			if len(args) == 0 || strings.HasPrefix(args[0], "--") {
				return nil, usagef("cloud: %s has no value (write %s VALUE)", arg, arg)
			}
			value, args = args[0], args[1:]
		}
		switch _, isOwn := own[name]; {
		case isOwn:
			own[name] = value
		case name != "" && name[0] >= 'A' && name[0] <= 'Z':
			given[name] = append(given[name], value)
		default:
			return nil, usagef("cloud: unknown flag %s (parameters of actions begin with a capital letter)", arg)
		}
	}
	return c, c.complete(own, given)
}

// complete checks what was given and fills in the call.
func (c *cloudCall) complete(own map[string]string, given map[string][]string) (err error) {
	if c.action == "" {
		return usagef("cloud: no action is given (try one of %s)", strings.Join(openapi.Actions()[:3], ", "))
	}
	if c.endpoint = own["endpoint"]; c.endpoint == "" {
		return usagef("cloud: no endpoint (give --endpoint URL or set %s)", endpointEnv)
	}
	if c.key, err = openapi.ParseKey(own["access-key"]); err != nil {
		return usagef("cloud: %v (give --access-key ID:SECRET or set %s)", err, accessKeyEnv)
	}
	if c.timeout, err = time.ParseDuration(own["timeout"]); err != nil || c.timeout <= 0 {
		return usagef("cloud: --timeout %q is no duration (write 30s or 2m)", own["timeout"])
	}
	c.params, err = flatten(c.action, given)
	if err != nil {
		return err
	}
	if c.file = own["file"]; c.file != "" {
		if c.action != uploadAction && c.action != listAction {
			return usagef("cloud: --file belongs to %s and %s (call one of them first, then pass its FirmwareUrl or FileUrl)", uploadAction, listAction)
		}
		if c.action == uploadAction && c.params["FileSuffix"] == "" {
			c.params["FileSuffix"] = suffixOf(c.file)
		}
	}
	return nil
}

// flatten numbers the items of lists.
func flatten(action string, given map[string][]string) (map[string]string, error) {
	params := map[string]string{}
	for name, values := range given {
		if len(values) == 1 && !openapi.IsList(action, name) {
			params[name] = values[0]
			continue
		}
		for i, v := range values {
			item := name + "." + strconv.Itoa(i+1)
			if _, ok := given[item]; ok {
				return nil, usagef("cloud: --%s is given both in a list and on its own (number all items, or none)", item)
			}
			params[item] = v
		}
	}
	return params, nil
}

// suffixOf gives the longest suffix of a package file that the name ends in, and
// "bin" for a name that has none.
func suffixOf(name string) string {
	best := ".bin"
	for _, s := range simulator.SuffixesNow() {
		if strings.HasSuffix(strings.ToLower(name), s) && (len(s) > len(best) || best == ".bin") {
			best = s
		}
	}
	return strings.TrimPrefix(best, ".")
}

// run makes the call and prints its answer.
func (c *cloudCall) run(ctx context.Context, out io.Writer) error {
	client, err := openapi.NewClient(c.endpoint, c.key, c.timeout)
	if err != nil {
		return usagef("cloud: %v", err)
	}
	var file *os.File
	if c.file != "" {
		// Opened before the call, so that a wrong name costs no form.
		if file, err = os.Open(c.file); err != nil {
			return fmt.Errorf("cloud: %w (check --file)", err)
		}
		defer file.Close()
	}
	answer, err := client.Call(ctx, c.action, c.params)
	if err != nil {
		return advised(err)
	}
	if file != nil {
		if err := upload(ctx, c.action, file, answer); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(out, "%s\n", answer)
	return err
}

// advised adds what to do to a refusal.
func advised(err error) error {
	var refused *openapi.CallError
	if !errors.As(err, &refused) {
		return fmt.Errorf("%w (is otasim serve running, and is this its http address?)", err)
	}
	return fmt.Errorf("%w (%s)", refused, advice(refused.Code))
}

func advice(code string) string {
	switch {
	case code == "InvalidAccessKeyId.NotFound":
		return "give --access-key the ID:SECRET that the server was started with"
	case code == "SignatureDoesNotMatch":
		return "check the secret in --access-key"
	case strings.HasPrefix(code, "InvalidTimeStamp"):
		return "set this machine's clock"
	case code == "InvalidAction.NotFound":
		return "the shell completion of otasim cloud lists the actions"
	case strings.HasPrefix(code, "Missing"):
		return "give --" + strings.TrimPrefix(code, "Missing") + " VALUE"
	case code == "iot.prod.NotExistedProduct":
		return "QueryProductList lists the products"
	case code == "iot.device.NotExistedDevice":
		return "QueryDevice lists the devices of a product"
	case code == "iot.ota.NotExistedFirmware":
		return "ListOTAFirmware lists the packages"
	case code == "iot.ota.NotExistedJob":
		return "ListOTAJobByFirmware lists the jobs of a package"
	case code == "iot.ota.NotExistedTask":
		return "ListOTATaskByJob lists the tasks of a job"
	case code == "iot.group.NotExistedGroup":
		return "QueryDeviceGroupList lists the groups of devices"
	case code == "iot.ota.InvalidDeviceList":
		return "correct these rows and upload the file again with " + listAction
	case strings.Contains(code, ".AlreadyExisted"):
		return "choose another name"
	case strings.HasPrefix(code, "iot.common."):
		return "give another value"
	case strings.HasPrefix(code, "iot.system."):
		return "see the server's log"
	}
	return "see the documentation of the action"
}
