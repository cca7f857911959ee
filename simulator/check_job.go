package simulator

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/leapslot/ota"
)

// Bounds of a schedule (P32, P33).
const (
	MinStart    = 5 * time.Minute    // ahead of now
	MaxStart    = 7 * 24 * time.Hour // ahead of now
	MinDuration = time.Hour
	MaxDuration = 30 * 24 * time.Hour
)

func (cmd *CreateStaticJob) check(c *Cloud, p *pack, now Stamp) error {
	for _, err := range []error{
		cmd.checkTarget(c, p), checkTimeout(cmd.TimeoutMinutes), cmd.checkRetry(c.products[p.Product].Rules), cmd.checkRate(c.opt.MaxPushRate),
		cmd.checkSchedule(now), checkTags(cmd.Tags), c.checkDownload(p, cmd.Protocol), cmd.Stop.check(),
	} {
		if err != nil {
			return err
		}
	}
	if cmd.Overwrite < 0 || cmd.Overwrite > OverwriteTask {
		return fail(Invalid, "Overwrite", "%d is neither %d (keep the device's task) nor %d (overwrite it)", cmd.Overwrite, KeepTask, OverwriteTask)
	}
	return invalid("Desc", ota.CheckText("the description", cmd.Desc, MaxDescription))
}

// checkTarget is P25, P27 and P28.
func (cmd *CreateStaticJob) checkTarget(c *Cloud, p *pack) error {
	switch {
	case cmd.Gray != "" && cmd.Target != TargetGray:
		return fail(Invalid, "Gray", "only the target %s has a percentage", TargetGray)
	case cmd.Group != "" && cmd.Target != TargetGroup:
		return fail(Invalid, "Group", "only the target %s has a group", TargetGroup)
	case len(cmd.Devices) > 0 && cmd.Target != TargetSpecific:
		return fail(Invalid, "Devices", "the target is all devices: name none")
	}
	switch cmd.Target {
	case TargetAll, TargetGray:
	case TargetGroup:
		g, err := c.group(cmd.Group)
		if err != nil {
			return err
		}
		if g.Account != p.Account {
			return fail(NotFound, "Group", "there is no group %q", cmd.Group)
		}
	case TargetSpecific:
		if len(cmd.Sources) > 0 {
			return fail(Invalid, "Sources", "targeted devices are named: give no source version")
		}
	case "":
		return fail(Missing, "Target", "which devices: %s, %s, %s or %s?", TargetAll, TargetSpecific, TargetGray, TargetGroup)
	default:
		return fail(Invalid, "Target", "%q is none of %s, %s, %s, %s", string(cmd.Target), TargetAll, TargetSpecific, TargetGray, TargetGroup)
	}
	return checkSources(p, cmd.Sources)
}

func checkSources(p *pack, sources []string) error {
	if n := len(sources); n > MaxSourceVersions {
		return fail(Invalid, "Sources", "%d source versions, allowed are at most %d", n, MaxSourceVersions)
	}
	for i, s := range sources {
		switch {
		case ota.CheckVersion(s) != nil:
			return invalid("Sources", ota.CheckVersion(s))
		case s == p.Version:
			return fail(Invalid, "Sources", "%s is the target version", s)
		case p.Diff && s != p.Source:
			return fail(Invalid, "Sources", "the package is a patch from %s, not from %s", p.Source, s)
		case slices.Contains(sources[:i], s):
			return fail(Invalid, "Sources", "version %s is named twice", s)
		}
	}
	return nil
}

// checkRetry is P35 and P36.
func (cmd *CreateStaticJob) checkRetry(r Rules) error {
	if cmd.RetryCount == 0 && cmd.RetryMinutes == 0 {
		return nil
	}
	if !slices.Contains(RetryCounts(), cmd.RetryCount) {
		return fail(Invalid, "RetryCount", "%d, allowed are %s times", cmd.RetryCount, list(RetryCounts()))
	}
	if !slices.Contains(RetryMinutes(), cmd.RetryMinutes) {
		return fail(Invalid, "RetryMinutes", "%d, allowed are %s minutes", cmd.RetryMinutes, list(RetryMinutes()))
	}
	if n := cmd.TimeoutMinutes; r.TimeoutOnce && n > 0 && cmd.RetryMinutes >= n {
		return fail(Invalid, "RetryMinutes", "%d, but all attempts together have %d minutes", cmd.RetryMinutes, n)
	}
	return nil
}

// checkRate is P34.
func (cmd *CreateStaticJob) checkRate(limit int) error {
	if n := cmd.MaximumPerMinute; n != 0 && (n < MinPushRate || n > limit) {
		return fail(Invalid, "MaximumPerMinute", "%d devices a minute, allowed are %d to %d", n, MinPushRate, limit)
	}
	if cmd.MaximumPerMinute != 0 {
		limit = cmd.MaximumPerMinute
	}
	return cmd.Rate.check(limit)
}

// checkSchedule is P31 to P33.
func (cmd *CreateStaticJob) checkSchedule(now Stamp) error {
	if cmd.Start == 0 {
		if cmd.Finish != 0 {
			return fail(Invalid, "Finish", "only a scheduled batch has an end: give its start too")
		}
		return nil
	}
	if cmd.Start < now.Add(MinStart) || cmd.Start > now.Add(MaxStart) {
		return fail(Invalid, "Start", "%s, allowed are 5 minutes to 7 days from now", cmd.Start.Time().Format(time.RFC3339))
	}
	if cmd.Finish != 0 && (cmd.Finish < cmd.Start.Add(MinDuration) || cmd.Finish > cmd.Start.Add(MaxDuration)) {
		return fail(Invalid, "Finish", "%s, allowed are 1 hour to 30 days after the start", cmd.Finish.Time().Format(time.RFC3339))
	}
	return nil
}

func list(n []int) string { return strings.Trim(fmt.Sprint(n), "[]") }

// fields are the keys of a notice. The C SDK takes the first textual "key": at any
// depth, so a tag must not be called like one of them (protocol section 3).
func fields() []string {
	return []string{
		"code", "data", "id", "message", "size", "sign", "version", "isDiff", "signMethod", "url", "md5",
		"digestsign", "module", "extData", "_package_udi", "dProtocol", "streamId", "streamFileId",
		"files", "fileSize", "fileName", "fileUrl", "fileMd5", "fileSign", "params", "method",
	}
}

// checkTags is P41.
func checkTags(tags []Tag) error {
	if len(tags) > MaxTags {
		return fail(Invalid, "Tags", "%d tags, allowed are at most %d", len(tags), MaxTags)
	}
	total := 0
	seen := map[string]bool{}
	for _, t := range tags {
		nk, nv := utf8.RuneCountInString(t.Key), utf8.RuneCountInString(t.Value)
		total += nk + nv
		switch {
		case nk < 1 || nk > MaxTagKey || strings.ContainsFunc(t.Key, notInTagKey):
			return fail(Invalid, "Tags", "the key %q has not 1 to %d of A-Z a-z 0-9 . _", t.Key, MaxTagKey)
		case nv < 1 || nv > MaxTagValue || !utf8.ValidString(t.Value):
			return fail(Invalid, "Tags", "the value of %q has %d characters, allowed are 1 to %d", t.Key, nv, MaxTagValue)
		case slices.Contains(fields(), t.Key):
			return fail(Invalid, "Tags", "%q is the name of a field of the notice: devices would take one for the other", t.Key)
		case seen[t.Key]:
			return fail(Invalid, "Tags", "the key %q is given twice", t.Key)
		}
		seen[t.Key] = true
	}
	if total > MaxTagsTotal {
		return fail(Invalid, "Tags", "keys and values have %d characters in all, allowed are at most %d", total, MaxTagsTotal)
	}
	return nil
}

func notInTagKey(r rune) bool {
	return !(r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r == '.' || r == '_')
}
