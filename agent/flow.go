package agent

import (
	"context"

	"github.com/leapslot/ota"
)

// Stage is a place in the corridor. Its text is what the record and the status
// say.
type Stage string

// The stages, in the order in which a good update walks them, then those of
// leaving a sick system.
const (
	Accept Stage = "accept" // is it for a module of ours, and not tried too often?
	Trust  Stage = "trust"  // is what was announced signed as the policy wants it?
	Room   Stage = "room"   // does it fit, and is the source of a patch what it should be?
	Fetch  Stage = "fetch"  // a full image or a native patch streams into the spare slot, a classic patch into the spool
	Verify Stage = "verify" // the digest of the whole package
	Write  Stage = "write"  // a patch is applied; the slot is synced and read back
	Switch Stage = "switch" // the boot loader is told to try the spare slot
	Reboot Stage = "reboot" // ends in the other system, or in a failure
	Prove  Stage = "prove"  // is the new system healthy?
	Keep   Stage = "keep"   // the boot loader is told to stay
	Leave  Stage = "leave"  // the boot loader is told to go back
	Return Stage = "return" // ends in the kept system
	Settle Stage = "settle" // the trial is over
	Report Stage = "report" // what happened is owed to the cloud
)

// row is one line of the corridor: what is done in a stage, where it leads,
// what the cloud hears when it fails, and where that leads.
type row struct {
	stage Stage
	do    func(*Agent, context.Context, *Update) error
	next  Stage
	fails ota.Step
	then  Stage
}

// flow is the corridor. A stage that fails after another one did (leaving a
// sick system) does not change what is reported: the first failure is.
var flow = [...]row{
	{Accept, (*Agent).accept, Trust, ota.StepUpgradeFailed, Report},
	{Trust, (*Agent).trust, Room, ota.StepVerifyFailed, Report},
	{Room, (*Agent).room, Fetch, ota.StepWriteFailed, Report},
	{Fetch, (*Agent).fetch, Verify, ota.StepDownloadFailed, Report},
	{Verify, (*Agent).verify, Write, ota.StepVerifyFailed, Report},
	{Write, (*Agent).write, Switch, ota.StepWriteFailed, Report},
	{Switch, (*Agent).switchSlot, Reboot, ota.StepUpgradeFailed, Leave},
	{Reboot, (*Agent).reboot, Prove, ota.StepUpgradeFailed, Leave},
	{Prove, (*Agent).prove, Keep, ota.StepUpgradeFailed, Leave},
	{Keep, (*Agent).keep, Report, ota.StepUpgradeFailed, Leave},
	{Leave, (*Agent).leave, Return, ota.StepUpgradeFailed, Return},
	{Return, (*Agent).comeBack, Settle, ota.StepUpgradeFailed, Settle},
	{Settle, (*Agent).settle, Report, ota.StepUpgradeFailed, Report},
	{Report, (*Agent).report, "", ota.StepUpgradeFailed, ""},
}

// targetFlow is the same corridor for a module that is not in the slots: a folder,
// a file, or what a script installs. Nothing is restarted but what Module.Restart
// restarts; Switch puts the new version in its place, which is writing there.
var targetFlow = [...]row{
	{Accept, (*Agent).acceptFiles, Trust, ota.StepUpgradeFailed, Report},
	{Trust, (*Agent).trust, Room, ota.StepVerifyFailed, Report},
	{Room, (*Agent).roomForFiles, Fetch, ota.StepWriteFailed, Report},
	{Fetch, (*Agent).fetchFiles, Verify, ota.StepDownloadFailed, Report},
	{Verify, (*Agent).verifyFiles, Write, ota.StepVerifyFailed, Report},
	{Write, (*Agent).stageFiles, Switch, ota.StepWriteFailed, Report},
	{Switch, (*Agent).putFiles, Prove, ota.StepWriteFailed, Leave},
	{Prove, (*Agent).proveFiles, Keep, ota.StepUpgradeFailed, Leave},
	{Keep, (*Agent).keepFiles, Report, ota.StepUpgradeFailed, Leave},
	{Leave, (*Agent).leaveFiles, Settle, ota.StepUpgradeFailed, Settle},
	{Settle, (*Agent).settleFiles, Report, ota.StepUpgradeFailed, Report},
	{Report, (*Agent).report, "", ota.StepUpgradeFailed, ""},
}

// row finds the line of the corridor that an update is at. A record of another
// build may name a stage that this one does not have: such an update is given up.
func (a *Agent) row(u *Update) (row, bool) {
	lines := flow[:]
	if u.Apart {
		lines = targetFlow[:]
	}
	for _, r := range lines {
		if r.stage == u.Stage {
			return r, true
		}
	}
	return row{}, false
}

// before reports whether s comes before other in the corridor.
func (s Stage) before(other Stage) bool {
	for _, r := range flow {
		switch r.stage {
		case other:
			return false
		case s:
			return true
		}
	}
	return false
}
