package report

import (
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
)

//go:embed page.html
var pageText string

//go:embed page.css
var pageStyle string

// page is what the template shows.
type page struct {
	Style      template.CSS
	Title      string
	Sentence   string
	Invalid    []string
	Notes      []string
	Knee       string
	Broken     int // verdicts
	Facts      []fact
	Tiles      []tile
	Verdicts   []Verdict
	States     template.HTML
	Sections   []section
	Measures   []measureRow
	Expects    bool
	Outcomes   []outcomeRow
	Behaviours []behaviourRow
	Counts     []fact
	Health     []Health
}

type tile struct {
	Label, Value, About string
	Bad                 bool
}

type section struct {
	ID, Title, About string
	Plots            []template.HTML
}

type measureRow struct {
	Label, About string
	Cells        []string
}

type outcomeRow struct {
	Label, About, Expected, Seen string
	ExpectedShare, SeenShare     float64 // of the longest bar, in percent
	Good, Differs                bool
}

type behaviourRow struct {
	Behaviour, Devices, Updated, How string
	Differs                          bool
}

// WriteHTML writes the result as one page that needs nothing else: no script, no
// font, no picture from elsewhere.
func (r *Result) WriteHTML(w io.Writer, verdicts []Verdict) error {
	t, err := template.New("page").Parse(pageText)
	if err != nil {
		return err
	}
	return t.Execute(w, r.page(verdicts))
}

func (r *Result) page(verdicts []Verdict) page {
	t := r.times()
	p := page{
		Style: template.CSS(pageStyle), Title: legal(r.title()), Sentence: r.sentence(), Invalid: each(r.Invalid, legal), Notes: each(r.Notes, legal),
		Knee: legal(r.Run.Knee), Facts: r.about(), Tiles: r.tiles(), States: r.plotStates(t).HTML(), Expects: r.expects(), Counts: r.facts(), Health: r.Health,
	}
	for _, v := range verdicts {
		if v.behaviour && v.OK {
			continue // the table of behaviours says so
		}
		p.Verdicts = append(p.Verdicts, Verdict{What: legal(v.What), Got: legal(v.Got), OK: v.OK})
		if !v.OK {
			p.Broken++
		}
	}
	// What is broken is read first.
	slices.SortStableFunc(p.Verdicts, func(a, b Verdict) int { return cmp.Compare(b2i(a.OK), b2i(b.OK)) })
	p.Sections = []section{
		{"connecting", "Connecting", "", []template.HTML{
			r.plotTrend(t, 0, "connect", "Connect over time", "From the time a connection was due until CONNACK.").HTML(),
			r.plotSpread("connect-parts", "Connect, all of the run", "How long each part took; to the right are the rarest and slowest.", Connect, ConnectTCP, ConnectTLS, ConnectMQTT).HTML(),
		}},
		{"updating", "Updating", "", []template.HTML{
			r.plotTrend(t, 2, "success", "Notice to success over time", "From the notice until the new version was reported, by the time it ended.").HTML(),
			r.plotSpread("success-parts", "An update's parts, all of the run", "How long each part took; to the right are the rarest and slowest.", NoticeToSuccess, NoticeToByte, Download, Verify).HTML(),
			r.plotBytes(t).HTML(),
			r.plotPush(t).HTML(),
		}},
		{"trouble-of-the-run", "Trouble", "", []template.HTML{r.plotConnections(t).HTML(), r.plotTrouble(t).HTML()}},
		{"generator", "The generator itself", "", []template.HTML{r.plotCPU(t).HTML(), r.plotLate(t).HTML()}},
	}
	for m := range measures {
		if h := r.Measures[m]; h.Count() > 0 {
			row := measureRow{Label: m.Label(), About: measureNames[m].about, Cells: []string{grouped(h.Count())}}
			for _, q := range percentiles {
				row.Cells = append(row.Cells, m.text(h.At(q)))
			}
			row.Cells = append(row.Cells, m.text(h.Max()))
			p.Measures = append(p.Measures, row)
		}
	}
	p.Outcomes, p.Behaviours = r.outcomeRows(), r.behaviourRows()
	return p
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func each(all []string, f func(string) string) []string {
	var out []string
	for _, s := range all {
		out = append(out, f(s))
	}
	return out
}

// about is what was run.
func (r *Result) about() []fact {
	all := []fact{{"endpoint", legal(r.Run.Endpoint), ""}, {"scenario", legal(r.Run.Scenario), ""}, {"ramp", legal(r.Run.Ramp), ""}}
	if r.Run.Seed != 0 {
		all = append(all, fact{"seed", fmt.Sprint(r.Run.Seed), ""})
	}
	all = append(all, fact{"began", r.Began.UTC().Format("2006-01-02 15:04:05 MST"), ""}, fact{"took", span(r.Duration()), ""}, fact{"program", legal(r.Run.Program), ""})
	if len(r.Parts) > 1 {
		all = append(all, fact{"merged of", fmt.Sprintf("%d results", len(r.Parts)), ""})
	}
	out := all[:0]
	for _, f := range all {
		if f.Value != "" {
			out = append(out, f)
		}
	}
	return out
}

// tiles are the figures that are asked for first.
func (r *Result) tiles() []tile {
	all := r.Total()
	good := all.Seen[Succeeded]
	share := float64(good) / float64(max(r.Devices, 1))
	out := []tile{{Label: "updated", Value: grouped(good), About: fmt.Sprintf("of %s devices, %s\u00a0%%", grouped(r.Devices), figure(share*100))}}
	if r.expects() {
		held, asked := 0, 0
		for _, b := range r.Behaviours {
			if b.Expected == [outcomes]int64{} {
				continue
			}
			if asked++; b.AsExpected() {
				held++
			}
		}
		out = append(out, tile{Label: "as expected", Value: fmt.Sprintf("%d of %d", held, asked), About: "behaviours ended as they should", Bad: held < asked})
	}
	latency := func(label string, m Measure) {
		if h := r.Measures[m]; h.Count() > 0 {
			out = append(out, tile{Label: label, Value: m.text(h.At(99)), About: fmt.Sprintf("p99; p50 %s, max %s", m.text(h.At(50)), m.text(h.Max()))})
		}
	}
	latency("connect", Connect)
	latency("notice to success", NoticeToSuccess)
	if n := r.Counters[Bytes]; n > 0 {
		out = append(out, tile{Label: "downloaded", Value: amount(n), About: fmt.Sprintf("%s MB/s on average, %s wasted", figure(r.Rate(Bytes)/1e6), amount(r.Counters[BytesWasted]))})
	}
	if r.Counters[NoticesPushed] > 0 {
		most := r.PushedPerMinute()
		v := tile{Label: "push rate", Value: grouped(most) + "/min", About: "new notices, at most in any 60 s"}
		if r.PushLimit > 0 {
			v.About += ", the limit is " + figure(r.PushLimit)
			// Arrivals jitter, and seconds are counted whole: a hundredth says nothing.
			v.Bad = float64(most) > r.PushLimit*1.01+1
		}
		out = append(out, v)
	}
	return append(out, tile{Label: "connections lost", Value: grouped(r.Counters[Disconnects]), About: fmt.Sprintf("%s failed, %s refused", grouped(r.Counters[ConnectFailures]), grouped(r.Counters[ConnectRefused]))})
}

func (r *Result) outcomeRows() []outcomeRow {
	all := r.Total()
	// Failures are few: they have a scale of their own, or nobody would see them.
	var good, bad int64 = max(all.Seen[Succeeded], all.Expected[Succeeded], 1), 1
	for o := UpgradeFailed; o < outcomes; o++ {
		bad = max(bad, all.Seen[o], all.Expected[o])
	}
	var out []outcomeRow
	for o := range outcomes {
		e, s := all.Expected[o], all.Seen[o]
		if e == 0 && s == 0 {
			continue
		}
		most := bad
		if o == Succeeded {
			most = good
		}
		out = append(out, outcomeRow{Label: o.Label(), About: outcomeNames[o].about, Expected: grouped(e), Seen: grouped(s),
			ExpectedShare: 100 * float64(e) / float64(most), SeenShare: 100 * float64(s) / float64(most), Good: o == Succeeded, Differs: r.expects() && e != s})
	}
	return out
}

func (r *Result) behaviourRows() []behaviourRow {
	var out []behaviourRow
	for _, b := range r.Behaviours {
		row := behaviourRow{Behaviour: legal(b.Behaviour), Devices: grouped(b.Devices), Updated: grouped(b.Seen[Succeeded]), How: "as expected"}
		switch v := b.verdict(); {
		case b.Expected == [outcomes]int64{}:
			row.How = "nothing was expected"
		case !v.OK:
			row.How, row.Differs = v.Got, true
		}
		out = append(out, row)
	}
	return out
}

// CPU gives the load for people.
func (h Health) CPU() string {
	return fmt.Sprintf("%.0f %%, at most %.0f %%", 100*h.CPUMean, 100*h.CPUMax)
}

// Memory gives the largest resident memory for people.
func (h Health) Memory() string { return amount(h.MemoryMax) }

// Sockets gives the most open sockets, and the limit, for people.
func (h Health) Sockets() string {
	s := grouped(int64(h.SocketsMax))
	if h.SocketLimit > 0 {
		s += " of " + grouped(int64(h.SocketLimit))
	}
	return s
}

// Name tells generators apart.
func (h Health) Name() string {
	s := legal(h.Shard)
	if s == "" {
		s = "only one"
	}
	if h.Host != "" {
		s += " on " + legal(h.Host)
	}
	return s
}
