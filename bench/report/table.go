// SPDX-License-Identifier: BSD-3-Clause

package report

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Table returns the report as text: a table in Markdown that is also readable as
// it is, and what a reader must know to judge it.
func (r *Report) Table() string {
	chive, others := r.split()
	head := []string{"figure", "unit"}
	for i := range r.Systems {
		head = append(head, r.Systems[i].Name)
	}
	for _, o := range others {
		if chive != nil {
			head = append(head, "vs "+o.Name)
		}
	}
	head = append(head, "goal", "")
	rows := [][]string{head}
	for _, f := range Figures() {
		row := []string{f.Title, f.Unit}
		for i := range r.Systems {
			row = append(row, cell(f, r.Systems[i].Figures))
		}
		for _, o := range others {
			if chive == nil {
				continue
			}
			text := "-"
			if v, ok := ratio(f, chive, o); ok {
				text = times(v)
			}
			row = append(row, text)
		}
		verdict := verdict(f, chive, others)
		if r.Quick {
			verdict = "" // a trial reaches and misses nothing
		}
		rows = append(rows, append(row, goal(f), verdict))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "chive and Tor side by side, %s\n\n", r.Began.UTC().Format("2006-01-02 15:04 UTC"))
	if r.Quick {
		b.WriteString("A quick trial with small sizes: the figures show that the bench works, not how fast anything is.\n\n")
	}
	b.WriteString(align(rows))
	b.WriteString("\n")
	r.legend(&b)
	return b.String()
}

func (r *Report) legend(b *strings.Builder) {
	fmt.Fprintf(b, "Median of %d runs in turn (least - most). \"vs\": how many times as good chive is; below 1x it is worse. Goals are\nagainst the better of Tor's columns.\n\n", r.Sizes.Runs)
	for i := range r.Systems {
		s := &r.Systems[i]
		fmt.Fprintf(b, "%s: %s; %s\n", s.Name, s.Version, s.About)
	}
	m := r.Machine
	fmt.Fprintf(b, "machine: %d x %s, %s %s, %s, load %.2f when the bench began\n", m.Processors, m.Processor, m.System, m.Kernel, m.Go, m.Load)
	if s := r.processor(); s.Count > 1 {
		fmt.Fprintf(b, "processor before each run: AES-GCM %s MB/s (%s - %s)", number(s.Median, 0), number(s.Min, 0), number(s.Max, 0))
		if s.Max > steady*s.Min {
			b.WriteString("; the machine was not steady, and all figures share that")
		}
		b.WriteString("\n")
	}
	for _, l := range r.Limits {
		fmt.Fprintf(b, "limit: %s %s %s\n", l.Title, number(l.Value, 0), l.Unit)
	}
	var notes []string
	for i := range r.Systems {
		for n, run := range r.Systems[i].Runs {
			for _, note := range run.Notes {
				notes = append(notes, fmt.Sprintf("note: %s, run %d: %s", r.Systems[i].Name, n+1, note))
			}
		}
	}
	for _, n := range notes {
		b.WriteString(n + "\n")
	}
}

// steady is by how much the processor's speed may differ between runs.
const steady = 1.15

// processor is how fast the processor was before the runs.
func (r *Report) processor() Summary {
	var values []float64
	for i := range r.Systems {
		for _, run := range r.Systems[i].Runs {
			if run.Processor > 0 {
				values = append(values, run.Processor)
			}
		}
	}
	return Summarize(values)
}

func cell(f Figure, figures map[string]Summary) string {
	s, ok := figures[f.ID]
	if !ok {
		return "-"
	}
	text := number(s.Median, f.Decimals)
	if s.Count > 1 {
		text += fmt.Sprintf(" (%s - %s)", number(s.Min, f.Decimals), number(s.Max, f.Decimals))
	}
	return text
}

func goal(f Figure) string {
	switch {
	case f.Most > 0:
		if f.Most < 1 {
			return "at most " + number(f.Most, 1)
		}
		return "at most " + number(f.Most, 0)
	case f.Aim > 0:
		return number(f.Goal, 0) + "x, aim " + number(f.Aim, 0) + "x"
	case f.Goal > 0:
		return number(f.Goal, 0) + "x"
	}
	return ""
}

func times(v float64) string {
	if v >= 10 {
		return number(v, 0) + "x"
	}
	return number(v, 2) + "x"
}

func number(v float64, decimals int) string { return strconv.FormatFloat(v, 'f', decimals, 64) }

// align writes rows as a Markdown table with columns of one width; the first row
// is the head.
func align(rows [][]string) string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, text := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(text), 3)
		}
	}
	var b strings.Builder
	line := func(row []string, fill string) {
		for i, text := range row {
			pad := strings.Repeat(fill, widths[i]-utf8.RuneCountInString(text))
			if i < 2 || i >= len(row)-2 {
				b.WriteString("| " + text + pad + " ")
			} else {
				b.WriteString("| " + pad + text + " ")
			}
		}
		b.WriteString("|\n")
	}
	line(rows[0], " ")
	rule := slices.Clone(rows[0])
	for i := range rule {
		rule[i] = strings.Repeat("-", widths[i])
		if i >= 2 && i < len(rule)-2 {
			rule[i] = rule[i][1:] + ":"
		}
	}
	line(rule, "-")
	for _, row := range rows[1:] {
		line(row, " ")
	}
	return b.String()
}
