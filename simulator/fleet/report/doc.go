// Package report is what a load test leaves behind: who did what, how long it
// took, and whether the generator itself can be believed.
//
// Devices feed a Recorder, from as many goroutines as there are. A Result is what
// it has so far; it is written as JSON, as a table, as JUnit XML for pipelines and
// as one HTML page with plots that needs nothing else, and it is shown while the
// run goes on, in a terminal and to Prometheus. Results of several processes are
// merged.
//
// The promise: merged percentiles are those of one histogram that had all
// samples, since histograms are added bucket by bucket; a run whose generator was
// saturated is marked invalid with the reason at the top of every form; nothing
// is averaged away, so the largest value is always shown.
//
// Whoever measures gives durations from the time that something was due, not from
// the time it was begun: a generator that is late must not hide that the cloud is
// slow. How late it was is a measure of its own.
//
// Files that are read (Read) come from other machines and are bounded; all texts
// from scenarios and endpoints are escaped where they are shown.
package report
