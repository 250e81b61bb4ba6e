// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"

	"chive/internal/config"
	"chive/internal/node"
)

// What the first run proposes to somebody who wants to carry others' traffic.
const (
	proposedRate    = "1 MiB/s"
	proposedMonthly = "200 GiB"
	proposedWeekly  = "46 GiB" // no more than proposedMonthly
	proposedDaily   = "6 GiB"
)

// consent is the answer to the question of the first run.
type consent struct {
	relay         bool
	rate, monthly string // as they were typed or proposed; of a yes
	none          bool   // the input ended: nobody answered
}

// maxAnswer bounds a line of an answer, in bytes.
const maxAnswer = 256

// askConsent asks once whether to carry others' traffic, and with what ceilings. A bare
// Enter is a no, and so is the end of the input, which is no answer to keep. hint, if there is one, is what to know of
// this machine before the answer. Spec: product CLI-3.
func askConsent(in io.Reader, out io.Writer, hint string) (consent, error) {
	lines := bufio.NewReader(io.LimitReader(in, 16*maxAnswer))
	fmt.Fprintf(out, `
chive has no company behind it: the network is what its users carry for each other.
This computer can pass on others' traffic beside yours, at most %s and %s a
month. It is encrypted, and nothing leaves the network from here: you are no exit.

`, proposedRate, proposedMonthly)
	if hint != "" {
		fmt.Fprintf(out, "%s\n\n", hint)
	}
	for range 3 {
		answer, ended, err := askLine(lines, out, "Carry others' traffic? [y/N] ")
		if err != nil || ended && answer == "" {
			return consent{none: true}, err
		}
		switch strings.ToLower(answer) {
		case "y", "yes":
			return askCeilings(lines, out)
		case "", "n", "no":
			return consent{}, nil
		}
		fmt.Fprintln(out, "Answer y or n.")
	}
	return consent{}, nil
}

// reachHint says of a machine without a public address what a yes depends on; else
// nothing. testnet comes from the genesis document.
func reachHint(cfg *config.Config, testnet bool) string {
	listen := cfg.Relay.Listen.Or(config.DefaultListen)
	if len(cfg.Relay.Addresses) > 0 || !node.BehindRouter(listen) {
		return ""
	}
	if nat := node.NATOf(cfg); nat == nil && cfg.Given("relay.nat") && !testnet {
		return "This computer has no public address of its own, and relay.nat = \"off\": no router is asked to let\n" +
			"others in. Forward the port of " + listen + " there, and say the router's own address:\n" +
			"chive up --address IP:PORT. Before that nobody can use this relay. Your own traffic flows in any case."
	} else if testnet && (nat == nil || !nat.Testnet) {
		return "This is a testnet, and this computer has no public address of its own: no router is asked to\n" +
			"let others in. A relay for a testnet on this computer listens there: chive up --listen\n" +
			"127.0.0.1:PORT; for one between computers, say --address IP:PORT. Without either nobody can use\n" +
			"this relay. Your own traffic flows in any case."
	}
	return "This computer has no public address of its own. Your router is asked to let others in (UPnP,\n" +
		"NAT-PMP); if it does not, nobody can use this relay before you forward the port of " + listen + "\n" +
		"there. Your own traffic flows in any case."
}

// askCeilings asks for the ceilings of a yes.
func askCeilings(lines *bufio.Reader, out io.Writer) (consent, error) {
	c := consent{relay: true}
	var err error
	c.rate, err = askFor(lines, out, "At most, per second", proposedRate, func(s string) error {
		_, err := config.ParseRate(s)
		return cmp.Or(err, takes("relay.rate", s))
	})
	if err != nil {
		return consent{}, err
	}
	c.monthly, err = askFor(lines, out, "At most, per month; it rests when that is used up", proposedMonthly, func(s string) error {
		_, err := config.ParseSize(s)
		return cmp.Or(err, takes("relay.accounting.max", s))
	})
	return c, err
}

// takes reports whether the configuration takes a value: a key has bounds of its own.
func takes(key, value string) error {
	_, err := config.Say(nil, key, value)
	return err
}

// askFor asks for a value; a bare Enter takes the proposal, and so does whoever does
// not find a right one in three tries.
func askFor(lines *bufio.Reader, out io.Writer, what, proposed string, check func(string) error) (string, error) {
	for range 3 {
		answer, err := ask(lines, out, fmt.Sprintf("%s [%s] ", what, proposed))
		switch {
		case err != nil:
			return "", err
		case answer == "":
			return proposed, nil
		}
		if err = check(answer); err == nil {
			return answer, nil
		}
		if !strings.HasSuffix(answer, "/s") && strings.HasSuffix(proposed, "/s") && check(answer+"/s") == nil {
			fmt.Fprintf(out, "/s is missing: a rate is per second. Write %s/s if that is meant.\n", answer)
			continue
		}
		fmt.Fprintf(out, "Write a number with its unit, such as %s; very small ones are refused.\n", proposed)
	}
	fmt.Fprintf(out, "%s it is.\n", proposed)
	return proposed, nil
}

// ask prints a question and reads a line. The end of the input is an empty one.
func ask(lines *bufio.Reader, out io.Writer, question string) (string, error) {
	answer, _, err := askLine(lines, out, question)
	return answer, err
}

// askLine is ask, and reports whether the input ended with that line.
func askLine(lines *bufio.Reader, out io.Writer, question string) (answer string, ended bool, err error) {
	fmt.Fprint(out, question)
	line, err := lines.ReadString('\n')
	if ended = errors.Is(err, io.EOF); ended {
		fmt.Fprintln(out)
		err = nil
	}
	if err != nil {
		return "", false, &node.Fault{Kind: node.Failed, Code: "input", Text: "The answer could not be read", Fix: "Say it with a flag: --relay or --no-relay."}
	}
	return strings.TrimSpace(line), ended, nil
}

// keep writes the answer into the user's configuration file, which is made if it is not
// there; all else in it stays as it is.
func (c consent) keep(path string) error {
	said := [][2]string{{"relay.enabled", "false"}}
	if c.relay {
		said = [][2]string{
			{"relay.enabled", "true"}, {"relay.rate", c.rate},
			{"relay.accounting.max", c.monthly}, {"relay.accounting.period", "month"},
		}
	}
	err := node.ChangeConfig(path, func(data []byte) ([]byte, error) {
		var err error
		for _, s := range said {
			if err == nil {
				data, err = config.Say(data, s[0], s[1])
			}
		}
		return data, err
	})
	if err != nil {
		return &node.Fault{
			Kind: node.Failed, Code: "config_write", Text: "The answer could not be kept in " + path,
			Fix: "Look at that file and its folder, or say it with each start: --relay or --no-relay.",
		}
	}
	return nil
}
