package simulator

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/leapslot/ota"
)

func (a *actor) number(s string) int {
	if s == "" {
		return 0
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		a.t.Fatal(err)
	}
	return n
}

func id(s string) string {
	n, _ := strconv.ParseInt(s[1:], 10, 64)
	return formatID(s[0], n)
}

func split(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

// command reads a step that is a command; nil is an event.
func (a *actor) command(verb string, args []string, opts map[string]string) Command {
	switch verb {
	case "product":
		return CreateProduct{Account: "me", Name: args[0]}
	case "devices":
		return RegisterDevices{Product: a.product, Names: args}
	case "module":
		return CreateModule{Product: a.product, Name: args[0], Alias: opts["alias"]}
	case "group":
		return CreateGroup{Account: "me", Name: args[0]}
	case "join":
		cmd := AddToGroup{Group: id(args[0])}
		for _, name := range args[1:] {
			cmd.Devices = append(cmd.Devices, a.dev(name))
		}
		return cmd
	case "package":
		return a.pack(args, opts)
	case "versions":
		return FindVersions{Product: a.product}
	case "causes":
		return a.causes(args[0])
	case "options":
		return SetRules{a.product, Rules{
			OneDynamic: opts["one-dynamic"] != "", NeedProgress: opts["both"] != "", TaskPerModule: opts["per-module"] != "",
			TolerateSource: opts["tolerate-source"] != "", TimeoutOnce: opts["timeout-once"] != "", NowLimits: opts["now-limits"] != "",
		}}
	}
	return a.jobCommand(verb, args, opts)
}

func (a *actor) causes(job string) Command {
	cmd := FindCauses{}
	for _, t := range a.cloud.jobs[id(job)].sortedTasks() {
		cmd.Tasks = append(cmd.Tasks, t.Task)
	}
	return cmd
}

func (a *actor) pack(args []string, opts map[string]string) Command {
	cmd := a.full(args[0])
	cmd.Version, cmd.Source, cmd.Diff, cmd.NeedToVerify = opts["to"], opts["from"], opts["from"] != "", opts["verified"] == ""
	cmd.Module = opts["module"]
	if s := opts["sign"]; s != "" {
		cmd.SignMethod = ota.SignMethod(s)
	}
	if s := opts["file"]; s != "" {
		cmd.Files[0].Name = s
	}
	if s := opts["size"]; s != "" {
		cmd.Files[0].Size = int64(a.number(s)) << 20
	}
	return cmd
}

func (a *actor) jobCommand(verb string, args []string, opts map[string]string) Command {
	has := func(s string) bool { return strings.Contains(strings.Join(args[1:], " "), s) }
	switch verb {
	case "verify":
		return CreateVerifyJob{Package: id(args[0]), Devices: args[1:], TimeoutMinutes: a.number(opts["timeout"])}
	case "batch":
		return a.batchCommand(args, opts)
	case "dynamic":
		cmd := a.batchCommand(args[:1], opts)
		return CreateDynamicJob{
			Package: cmd.Package, Sources: cmd.Sources, Mode: DynamicMode(a.number(opts["mode"])), Group: cmd.Group,
			TimeoutMinutes: cmd.TimeoutMinutes, RetryMinutes: cmd.RetryMinutes, RetryCount: cmd.RetryCount,
			MaximumPerMinute: cmd.MaximumPerMinute, Overwrite: cmd.Overwrite, Tags: cmd.Tags,
			NeedConfirm: cmd.NeedConfirm, NoPush: cmd.NoPush, MultiModule: cmd.MultiModule,
		}
	case "cancel":
		return CancelTasksByJob{
			Job: id(args[0]), Scheduled: has("scheduled"), Queued: has("queued"), Notified: has("notified"),
			InProgress: has("upgrading"), Unconfirmed: has("unconfirmed"),
		}
	case "cancel-strategy":
		return CancelStrategyByJob{Job: id(args[0]), Tasks: has("tasks")}
	case "update":
		cmd := UpdateJob{Job: id(args[0])}
		if s := opts["rate"]; s != "" {
			cmd.MaximumPerMinute = pointer(a.number(s))
		}
		if s := opts["timeout"]; s != "" {
			cmd.TimeoutMinutes = pointer(a.number(s))
		}
		return cmd
	case "confirm":
		cmd := ConfirmTasks{}
		for _, s := range args {
			cmd.Tasks = append(cmd.Tasks, id(s))
		}
		return cmd
	case "again":
		cmd := ReupgradeTasks{}
		for _, s := range args {
			cmd.Tasks = append(cmd.Tasks, a.tasks[id(s)])
		}
		return cmd
	}
	return nil
}

func (a *actor) batchCommand(args []string, opts map[string]string) CreateStaticJob {
	cmd := CreateStaticJob{
		Package: id(args[0]), Target: TargetAll, Sources: split(opts["sources"]), Devices: args[1:],
		TimeoutMinutes: a.number(opts["timeout"]), MaximumPerMinute: a.number(opts["rate"]),
		Overwrite: OverwriteMode(a.number(opts["overwrite"])), Gray: opts["gray"],
		NeedConfirm: opts["confirm"] != "", NoPush: opts["push"] == "no", MultiModule: opts["multi"] != "",
	}
	switch {
	case len(cmd.Devices) > 0:
		cmd.Target = TargetSpecific
	case cmd.Gray != "":
		cmd.Target = TargetGray
	case opts["group"] != "":
		cmd.Target, cmd.Group = TargetGroup, id(opts["group"])
	}
	if count, minutes, ok := strings.Cut(opts["retry"], "x"); ok {
		cmd.RetryCount, cmd.RetryMinutes = a.number(count), a.number(minutes)
	}
	if d, err := time.ParseDuration(opts["start"]); err == nil {
		cmd.Start = At(a.now.Add(d))
		if d, err := time.ParseDuration(opts["lasts"]); err == nil {
			cmd.Finish = cmd.Start.Add(d)
		}
	}
	for _, s := range split(opts["tags"]) {
		k, v, _ := strings.Cut(s, ":")
		cmd.Tags = append(cmd.Tags, Tag{k, v})
	}
	return cmd
}

// show tells the answers that are not among the changes.
func (a *actor) show(v any) {
	switch v := v.(type) {
	case []VersionCount:
		for _, n := range v {
			fmt.Fprintf(&a.out, "  %s %s: %d\n", n.Module, n.Version, n.Devices)
		}
	case []Cause:
		for _, c := range v {
			fmt.Fprintf(&a.out, "  pending because: %s\n", c)
		}
	case Group:
		fmt.Fprintf(&a.out, "  group %s %s\n", short(v.ID), v.Name)
	case GroupChange:
		fmt.Fprintf(&a.out, "  %d devices added\n", v.Done)
	}
}
