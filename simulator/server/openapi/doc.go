// Package openapi is the cloud API: the RPC-style HTTP interface (product Iot,
// version 2018-01-20) that a customer's scripts and the official client libraries
// speak, and a small client of it for our own commands.
//
// A request is a set of named parameters, in the query, in a form or in both. One
// table says which action reads which of them, and a handler turns them into one
// change or one question to the cloud. No rule of the platform lives here: names,
// limits of jobs and states of tasks are package simulator's; this package bounds
// what it reads, and says which parameter broke which limit.
//
// The promise: only a request signed with a known access key within the last
// quarter of an hour, and never seen before, reaches an action. What a request
// leaves unclear (a parameter twice, an ability that there is not) is refused rather
// than guessed.
//
// Trust: whoever holds an access key may do what its role allows with what its account
// owns, and nothing with what others own, which is not found (F5). Every action works
// through a guard, its session's engine and lists, which sees to both, and to the line
// in the audit log that every changing call leaves. What is not signed is read only as far as is needed to check the signature, within
// fixed limits.
//
// Answered is every OTA action of the platform, and the actions about products,
// devices and groups that go with them: Actions lists them, table says which
// parameters are lists and what a command's fields are called.
//
// Some actions are ours, because the platform has what they do in its console only:
//
//   - UpdateProductOTASecurity (ProductKey, Enable), QueryProductOTASecurity
//     (ProductKey): secure upgrade (P7). Data {ProductKey, Enable, PublicKey}; the key
//     is what devices verify digestsign with, as PEM.
//   - ListAuditLog (KeyId, ActionName, StartTime, EndTime, CurrentPage, PageSize; all may
//     be left out): who changed what, when, from where, and what came of it, newest
//     first. For administrators. Data.AuditLogInfo [{UtcTime, AccessKeyId, ActionName,
//     Object, SourceIp, CallRequestId, Result}].
//   - QueryProductOTAVersions (ProductKey, ModuleName): how many devices run which
//     version (P6). Data.VersionInfo [{ModuleName, ModuleVersion, DeviceCount}].
//   - QueryDeviceNameListTemplate: the CSV file to fill in with devices (P29). Data
//     {FileName, Content}.
//   - UpdateProductOTAOptions, QueryProductOTAOptions (ProductKey): which rule holds
//     where the source contradicts itself or later documents changed one. Data, and
//     the parameters, each true or false, those left out stay as they are: OneDynamic
//     (one dynamic batch of a package, not of each source version; P22), NeedProgress
//     (success wants progress 100 too; P45), TaskPerModule (a device may have a task
//     of each module; P24), TolerateSource (the source version reported while
//     upgrading is no failure; P48), TimeoutOnce (the timeout runs from the first
//     attempt's progress; P37), LatestLimits (P3, P29, gateways), Registration and
//     NewRegistration (devices that ask for their secret). Latest=true sets them all to
//     what the platform does now, Latest=false to the source, but for registrations.
//   - ListAuditLog, for administrators: who changed what, when, from where.
//   - PauseOTAJob, ResumeOTAJob (JobId): a paused job sends no notice (package simulator,
//     type Pause). UpdateOTAJobStop (JobId, FailurePercent 0 to 99, LeastEnded): it pauses
//     itself when more than so many percent of at least so many ended tasks have failed;
//     0 is never. QueryOTAJobPause (JobId): Data {JobId, Paused, Reason, UtcPaused,
//     EndedTasks, FailedTasks, FailurePercent, LeastEnded}.
//
// QueryOTAJob also answers with the variable rate that UpdateOTAJob has set, in the
// latter's names. MaximumPerMinute alone makes the rate constant again; beside
// BaseRatePerMinute it is the most that a variable one comes to. What a job was made
// with for good (UpgradeType, TargetSelection, SrcVersionList, Tags) may be said again
// there, and must be the same.
//
// Groups are those that devices are put into by hand, LINK_PLATFORM; a batch for a
// group is for the devices of the groups below it too, and a dynamic one for those
// that are put into it later.
//
// We are more lenient than the platform in three places: a list of one item may be
// given under its bare name, ProductKey may be left out where another id says
// enough, and what is registered in a batch is there when the call is answered, so
// that polling its status ends at the first try.
//
// Fields of answers are named as on the wire, so that one Go type is both the JSON
// and the XML of an answer.
package openapi
