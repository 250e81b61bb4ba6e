// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"chive/internal/config"
	"chive/internal/node"
)

// relayAnswers are what the operator of a new relay says; what is empty is not said.
type relayAnswers struct {
	nickname, contact, address string
	rate, monthly              string // with their units; monthly may be off
	exit, family               string // as the flags say; not asked
	burst, listen              string // the same
	period                     string // that the configuration holds for monthly; empty: a month is said with it
	withdrawn                  node.Withdrawn
	found                      bool // an address that nobody says is found when the relay runs
}

// proposedQuota is what a new relay may carry in a day, a week or a month, if its operator says
// nothing; empty: a month.
func proposedQuota(period string) string {
	switch period {
	case "day":
		return proposedDaily
	case "week":
		return proposedWeekly
	}
	return proposedMonthly
}

// noAnswer is how a question shows that nothing is proposed.
const noAnswer = "none"

// askRelay asks the three questions of a new relay: its name, its operator's address for
// mail, and its ceilings. What is said already is not asked; a bare Enter, and the end
// of the input, take what is proposed. Where others reach it is asked only where this
// machine has no public address. No question proposes an exit. Spec: product §1, REL-1.
func askRelay(in io.Reader, out io.Writer, said relayAnswers) (relayAnswers, error) {
	lines := bufio.NewReader(io.LimitReader(in, 32*maxAnswer))
	fmt.Fprint(out, `
A relay passes on others' traffic, which is encrypted: it cannot read it. It is no exit:
nothing leaves the network from here, unless you say so with --exit another time.
Enter takes what stands in brackets.

`)
	for _, q := range relayQuestions(&said) {
		if *q.answer != "" || q.answer == &said.nickname && said.withdrawn.Nickname || q.answer == &said.contact && said.withdrawn.Contact {
			continue
		}
		var err error
		if *q.answer, err = q.ask(lines, out); err != nil {
			return relayAnswers{}, err
		}
	}
	return said, nil
}

// A question is asked until its answer is right, three times at most.
type question struct {
	text, proposed, hint string
	answer               *string
	check                func(string) error
}

// relayQuestions are in the order in which they are asked.
func relayQuestions(said *relayAnswers) []question {
	about := func(make func(string) node.About) func(string) error {
		return func(s string) error { return node.CheckAbout(make(s)) }
	}
	quota := proposedQuota(said.period)
	where := "Which IP:PORT do others reach it at? In a testnet no router is asked; 127.0.0.1:9240, say, if all of it runs on this machine."
	if said.found {
		where = "This machine has no public address. Which IP:PORT do others reach it at? Enter: the router is asked when the relay runs"
	}
	return []question{
		{"1. What is the relay called? Everybody can read it", "", "Letters, digits, - and _, 19 at most.", &said.nickname,
			about(func(s string) node.About { return node.About{Nickname: s} })},
		{"2. Where can you be reached, a mail address or a page? Everybody can read it", "", "One line of at most 128 bytes.", &said.contact,
			about(func(s string) node.About { return node.About{Contact: s} })},
		{"3. How much may it carry each way, at most, per second?", proposedRate, "Write a number with its unit, such as " + proposedRate + "; very small ones are refused.", &said.rate,
			func(s string) error { _, err := config.ParseRate(s); return cmp.Or(err, takes("relay.rate", s)) }},
		{"   And in a " + cmp.Or(said.period, "month") + ", both ways together? It offers less so that this lasts, and rests when it is used up. off: no limit", quota, "Write a number with its unit, such as " + quota + ", or off; very small ones are refused.", &said.monthly, checkMonthly},
		{where, "", "Write an address with its port, such as 203.0.113.5:9240.", &said.address, node.CheckAddress},
	}
}

// ask asks one question.
func (q question) ask(lines *bufio.Reader, out io.Writer) (string, error) {
	shown := q.proposed
	if shown == "" {
		shown = noAnswer
	}
	for range 3 {
		answer, err := ask(lines, out, fmt.Sprintf("%s [%s] ", q.text, shown))
		switch {
		case err != nil:
			return "", &node.Fault{Kind: node.Failed, Code: "input", Text: "The answer could not be read", Fix: "Say it with flags: chive relay init --help."}
		case answer == "":
			return q.proposed, nil
		case q.check(answer) == nil:
			return answer, nil
		}
		fmt.Fprintln(out, cmp.Or(config.RateHint(answer), q.hint))
	}
	fmt.Fprintf(out, "It stays at %s.\n", shown)
	return q.proposed, nil
}

// unasked are the settings of flags that no question is about.
func (r relayAnswers) unasked() [][2]string {
	var out [][2]string
	for _, s := range [][2]string{{"relay.exit.policy", r.exit}, {"relay.family", r.family}} {
		if s[1] == "" {
			continue
		}
		if takes(s[0], s[1]) == nil && !slices.Contains([]string{"off", "web", "reduced"}, s[1]) {
			if path, err := filepath.Abs(s[1]); err == nil { // a file says it by its own folder
				s[1] = path
			}
		}
		out = append(out, s)
	}
	return out
}

// settings are the answers as the configuration has them; an empty one is not said. A period
// that somebody chose stays, unless a size a month takes its place.
func (r relayAnswers) settings() [][2]string {
	var out [][2]string
	for _, s := range []struct {
		key, value string
		withdrawn  bool
	}{
		{"relay.nickname", r.nickname, r.withdrawn.Nickname}, {"relay.contact", r.contact, r.withdrawn.Contact},
		{"relay.rate", r.rate, false}, {"relay.burst", r.burst, false}, {"relay.listen", r.listen, false}, {"relay.accounting.max", r.monthly, false},
	} {
		if s.value != "" || s.withdrawn {
			out = append(out, [2]string{s.key, s.value})
		}
	}
	if r.monthly != "" && r.monthly != "off" && r.period == "" {
		out = append(out, [2]string{"relay.accounting.period", "month"})
	}
	return out
}
