package report

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"strings"
)

// plot is one picture. It is drawn as an SVG that stretches with the page while
// its texts, which are HTML around it, keep their size: so it can be read on a
// phone. Who cannot see it has its description and a table of its figures.
type plot struct {
	id    string // of the element, ours
	title string
	about string
	x, y  axis
	xs    []float64 // where the values of all lines stand
	lines []line
	stack bool // lines are areas on top of each other, the first one at the bottom
	marks []mark
	limit float64 // a dashed line; 0 is none
	value func(float64) string
	when  func(float64) string // a place on x, for people
	head  string               // of the table's first column
}

// line is a series of values; NaN is a gap.
type line struct {
	label  string
	class  string // colours are the style sheet's
	values []float64
	area   bool
}

// mark is a moment with a name.
type mark struct {
	at    float64
	label string
}

// The coordinates within a plot: large enough that rounding to whole numbers is not seen.
const (
	plotSize  = 2000
	maxSlices = 90 // that show their figures under the mouse
	maxRows   = 12 // of the table
	maxMarks  = 3  // named in the legend; all are drawn
)

func (p plot) hasValues() bool {
	for _, l := range p.lines {
		for _, v := range l.values {
			if !math.IsNaN(v) {
				return true
			}
		}
	}
	return false
}

// HTML draws the plot. Every text is escaped here.
func (p plot) HTML() template.HTML {
	var s strings.Builder
	esc := html.EscapeString
	fmt.Fprintf(&s, `<figure class="plot" id="%s"><figcaption><h3>%s</h3><p>%s</p></figcaption>`, p.id, esc(p.title), esc(p.about))
	if !p.hasValues() {
		s.WriteString(`<p class="none">Nothing of this happened.</p></figure>`)
		return template.HTML(s.String())
	}
	p.legend(&s)
	s.WriteString(`<div class="frame"><div class="ylabels" aria-hidden="true">`)
	for _, t := range p.y.ticks {
		fmt.Fprintf(&s, `<span style="bottom:%.2f%%">%s</span>`, t.at*100, esc(t.label))
	}
	s.WriteString(`</div><div class="area">`)
	p.svg(&s)
	s.WriteString(`</div><div class="xlabels" aria-hidden="true">`)
	for _, t := range p.x.ticks {
		class := ""
		if t.at > 0.94 {
			class = ` class="end"`
		}
		fmt.Fprintf(&s, `<span%s style="left:%.2f%%">%s</span>`, class, t.at*100, esc(t.label))
	}
	s.WriteString(`</div></div>`)
	p.table(&s)
	s.WriteString(`</figure>`)
	return template.HTML(s.String())
}

func (p plot) legend(s *strings.Builder) {
	s.WriteString(`<ul class="legend">`)
	for i := range p.lines {
		l := p.lines[i]
		if p.stack {
			l = p.lines[len(p.lines)-1-i] // as they stand, from the top
		}
		fmt.Fprintf(s, `<li><span class="key %s"></span>%s</li>`, l.class, html.EscapeString(l.label))
	}
	if p.limit > 0 {
		fmt.Fprintf(s, `<li><span class="key limit"></span>limit %s</li>`, html.EscapeString(p.value(p.limit)))
	}
	for i, m := range p.marks {
		if i == maxMarks {
			fmt.Fprintf(s, `<li>and %d more</li>`, len(p.marks)-i)
			break
		}
		fmt.Fprintf(s, `<li><span class="key moment"></span>%s %s</li>`, html.EscapeString(p.when(m.at)), html.EscapeString(m.label))
	}
	s.WriteString(`</ul>`)
}

func (p plot) svg(s *strings.Builder) {
	fmt.Fprintf(s, `<svg viewBox="0 0 %d %d" preserveAspectRatio="none" role="img" aria-labelledby="%s-t %s-d"><title id="%s-t">%s</title><desc id="%s-d">%s</desc>`,
		plotSize, plotSize, p.id, p.id, p.id, html.EscapeString(p.title), p.id, html.EscapeString(p.description()))
	for _, t := range p.y.ticks {
		fmt.Fprintf(s, `<path class="grid" d="M0 %dH%d"/>`, down(t.at), plotSize)
	}
	below := make([]float64, len(p.xs))
	for _, l := range p.lines {
		if p.stack {
			p.layer(s, l, below)
			continue
		}
		p.curve(s, l)
	}
	if p.limit > 0 {
		fmt.Fprintf(s, `<path class="limit" d="M0 %dH%d"/>`, down(p.y.place(p.limit)), plotSize)
	}
	for _, m := range p.marks {
		fmt.Fprintf(s, `<path class="mark" d="M%d 0V%d"><title>%s</title></path>`, across(p.x.place(m.at)), plotSize, html.EscapeString(p.when(m.at)+": "+m.label))
	}
	p.slices(s)
	s.WriteString(`</svg>`)
}

func across(place float64) int { return int(math.Round(place * plotSize)) }
func down(place float64) int   { return int(math.Round((1 - place) * plotSize)) }

// layer draws an area between below and below plus the line, and raises below.
func (p plot) layer(s *strings.Builder, l line, below []float64) {
	var path strings.Builder
	any := false
	for i, x := range p.xs {
		verb := "L"
		if i == 0 {
			verb = "M"
		}
		any = any || l.values[i] > 0
		fmt.Fprintf(&path, "%s%d %d", verb, across(p.x.place(x)), down(p.y.place(below[i]+l.values[i])))
	}
	for i := len(p.xs) - 1; i >= 0; i-- {
		fmt.Fprintf(&path, "L%d %d", across(p.x.place(p.xs[i])), down(p.y.place(below[i])))
	}
	for i := range below {
		below[i] += l.values[i]
	}
	if any {
		fmt.Fprintf(s, `<path class="layer %s" d="%sZ"/>`, l.class, path.String())
	}
}

// curve draws a line with its gaps; a value alone between gaps is a dot.
func (p plot) curve(s *strings.Builder, l line) {
	var path, area strings.Builder
	begun, first, lastX := false, 0, 0
	flush := func() {
		if begun && l.area {
			fmt.Fprintf(&area, "L%d %dL%d %dZ", lastX, plotSize, first, plotSize)
		}
		if begun && lastX == first {
			path.WriteString("h0")
		}
		begun = false
	}
	for i, x := range p.xs {
		if math.IsNaN(l.values[i]) {
			flush()
			continue
		}
		verb := "L"
		lastX = across(p.x.place(x))
		if !begun {
			verb, begun, first = "M", true, lastX
		}
		step := fmt.Sprintf("%s%d %d", verb, lastX, down(p.y.place(l.values[i])))
		path.WriteString(step)
		area.WriteString(step)
	}
	flush()
	if l.area {
		fmt.Fprintf(s, `<path class="under %s" d="%s"/>`, l.class, area.String())
	}
	fmt.Fprintf(s, `<path class="curve %s" d="%s"/>`, l.class, path.String())
}

// slices are invisible; the browser shows their title under the mouse.
func (p plot) slices(s *strings.Builder) {
	n := len(p.xs)
	each := (n + maxSlices - 1) / maxSlices
	for i := 0; i < n; i += each {
		from, to := across(p.x.place(p.xs[i])), plotSize
		if i+each < n {
			to = across(p.x.place(p.xs[i+each]))
		}
		if to <= from {
			continue
		}
		fmt.Fprintf(s, `<path class="slice" d="M%d 0H%dV%dH%dZ"><title>%s</title></path>`, from, to, plotSize, from, html.EscapeString(p.tip(i)))
	}
}

func (p plot) tip(i int) string {
	parts := []string{p.when(p.xs[i])}
	for _, l := range p.lines {
		if v := l.values[i]; !math.IsNaN(v) && !(p.stack && v == 0) {
			parts = append(parts, l.label+": "+p.value(v))
		}
	}
	return strings.Join(parts, "\n")
}

// description is for who does not see the picture.
func (p plot) description() string {
	parts := []string{p.about}
	for _, l := range p.lines {
		most, lastValue, at := math.Inf(-1), math.NaN(), 0.0
		for i, v := range l.values {
			if math.IsNaN(v) {
				continue
			}
			if lastValue = v; v > most {
				most, at = v, p.xs[i]
			}
		}
		if math.IsNaN(lastValue) || most == 0 {
			continue
		}
		parts = append(parts, fmt.Sprintf("%s: at most %s at %s, in the end %s.", l.label, p.value(most), p.when(at), p.value(lastValue)))
	}
	for _, m := range p.marks {
		parts = append(parts, p.when(m.at)+": "+m.label+".")
	}
	return strings.Join(parts, " ")
}

// table has the figures of some places, so that nothing is in the picture alone.
func (p plot) table(s *strings.Builder) {
	fmt.Fprintf(s, `<details><summary>Figures<span class="hidden"> of %s</span></summary><div class="wide" tabindex="0" role="region" aria-label="Figures of %s"><table><thead><tr><th scope="col">%s</th>`,
		html.EscapeString(p.title), html.EscapeString(p.title), html.EscapeString(p.head))
	for _, l := range p.lines {
		fmt.Fprintf(s, `<th scope="col">%s</th>`, html.EscapeString(l.label))
	}
	s.WriteString(`</tr></thead><tbody>`)
	n := len(p.xs)
	rows := min(n, maxRows)
	for r := range rows {
		i := 0
		if rows > 1 {
			i = r * (n - 1) / (rows - 1)
		}
		fmt.Fprintf(s, `<tr><th scope="row">%s</th>`, html.EscapeString(p.when(p.xs[i])))
		for _, l := range p.lines {
			text := "–"
			if !math.IsNaN(l.values[i]) {
				text = p.value(l.values[i])
			}
			fmt.Fprintf(s, `<td>%s</td>`, html.EscapeString(text))
		}
		s.WriteString(`</tr>`)
	}
	s.WriteString(`</tbody></table></div></details>`)
}
