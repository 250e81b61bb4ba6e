// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"chive/internal/control"
	"chive/internal/node"
)

type vouchObject struct {
	Schema   string `json:"schema"`
	Voucher  string `json:"voucher"`
	File     string `json:"file,omitempty"`
	Identity string `json:"identity"` // whom it is for
	Sponsor  string `json:"sponsor"`  // rid
	Day      int    `json:"day"`      // of the network
	Days     int    `json:"valid_days"`
	GapDays  int    `json:"gap_days"`       // for which one alone counts, from its use on; 0: each counts
	Others   int    `json:"others_unused"`  // for other relays, and good until one is used
	Places   int    `json:"places_per_day"` // on the list, for all the vouched; 0: no limit
}

const relayVouchHelp = `Makes a voucher for a relay that is not on the network's list yet: one line of text, which its
operator gives to "chive relay run --voucher FILE", or to "chive relay init --voucher FILE".
Half of the places of a day are for relays with a voucher, so that a flood of newcomers does
not keep yours out. It is a place in a queue: it gives the newcomer no weight and no trust,
and you answer for nothing that it does.

Your own relay must be running, and have served for as long as the committee asks for (60
days in the public network; founders at once). A relay may vouch once in 30 days: what counts is
when the newcomer gets on the list. A voucher is good for 30 days, for that one relay.

IDENTITY_OR_FILE is the newcomer's identity, which its operator's "chive relay init" prints,
or a file that holds that.`

func (a *app) relayVouch() *cobra.Command {
	var out string
	var again bool
	c := &cobra.Command{
		Use: "vouch IDENTITY_OR_FILE", Short: "give a newcomer a voucher, so that it gets on the list sooner", Args: exactly("IDENTITY_OR_FILE"),
		Long: relayVouchHelp,
		Example: "  chive relay vouch 0f6d62e1c1d5a3bba1c7a6a5a2f8c4f0a5a44b2a1fd7aef3c9b4f5b1a2c3d4e5 --out maple.voucher\n" +
			"  chive relay vouch --state relay1 maple.txt",
		RunE: func(c *cobra.Command, args []string) error {
			if err := a.locate(c); err != nil {
				return err
			}
			status, err := a.relayAnswer(c.Context())
			if err != nil {
				return err
			}
			if f := a.shortIdentity(c.Context(), args[0]); f != nil {
				return f
			}
			state, err := node.OpenState(a.global.state)
			if err != nil {
				return err
			}
			defer state.Close()
			v, err := state.Vouch(status, args[0], out, again)
			if err != nil {
				return err
			}
			a.note("It is good for %d days of the network, from day %d on, for the relay with the identity %.16s... alone. Give it to its operator: chive relay run --voucher FILE", v.Days, v.Day, v.Identity)
			a.note("%s", vouchLimits(v))
			a.answer(vouchObject{"chive.relay.vouch/1", v.Text, v.File, v.Identity, v.Sponsor, v.Day, v.Days, v.GapDays, v.Others, v.Places}, func(w io.Writer) {
				if v.File != "" {
					fmt.Fprintf(w, "voucher %s\n", v.File)
					return
				}
				fmt.Fprintln(w, v.Text)
			})
			return nil
		},
	}
	c.Flags().StringVar(&out, "out", "", "write `FILE`; else the voucher is printed")
	c.Flags().BoolVar(&again, "again", false, "the voucher that this relay gave last is not going to be used")
	return c
}

// vouchLimits says what a voucher that was given is worth beside others, and when the
// next one counts.
func vouchLimits(v *node.VoucherMade) string {
	text := "This network sets no limit to a relay's vouchers."
	if v.GapDays > 0 {
		text = fmt.Sprintf("One of this relay's vouchers counts in %d days, so none is left until this one is used or over; the next counts %d days after its use.", v.GapDays, v.GapDays)
	}
	if v.GapDays > 0 && v.Others > 0 {
		text = fmt.Sprintf("One of this relay's vouchers counts in %d days: this one and %s that it gave to others are good until the first is used, then the rest are refused. The next counts %d days after that.",
			v.GapDays, number(v.Others, "voucher"), v.GapDays)
	}
	if v.Places > 0 {
		text += fmt.Sprintf(" Of all the vouched, %s a day get on the list, by lot.", number(v.Places, "relay"))
	}
	return text
}

// shortIdentity refuses digits that are too few, and names the relay that they may mean.
func (a *app) shortIdentity(ctx context.Context, whom string) error {
	if node.ShortIdentity(whom, nil) == nil {
		return nil
	}
	var list *control.Relays
	if socket, err := a.askedSocket(); err == nil {
		ctx, cancel := context.WithTimeout(ctx, statusTime)
		defer cancel()
		list, _, _ = control.FetchRelays(ctx, socket.Path) // else nobody is named
	}
	return node.ShortIdentity(whom, list)
}

// relayAnswer asks the relay that runs with the state folder for its status.
func (a *app) relayAnswer(ctx context.Context) (*control.Status, error) {
	socket, err := a.askedSocket()
	if err == nil {
		err = socket.Check()
	}
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, statusTime)
	defer cancel()
	status, _, err := control.Fetch(ctx, socket.Path)
	if err != nil {
		return nil, a.askFault(socket, err)
	}
	return status, nil
}
