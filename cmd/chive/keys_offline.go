// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"crypto/rand"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"chive/internal/node"
)

const initOfflineHelp = `Makes an identity in DIR, on a machine that is not the relay's: a stick, or a computer
without a network. DIR/identity.key is the relay for ever; keep a copy in a safe place. Bring
DIR/identity.pub, which is no secret, to the relay's machine:

  chive relay init --offline-identity identity.pub --address IP:PORT --genesis FILE

Then have the identity sign what the relay works with, and again at least every 30 days:

  chive keys request maple.request                 at the relay
  chive keys sign --identity DIR maple.request     where the key is
  chive keys install maple.answer                  at the relay`

const requestHelp = `Writes into FILE what the identity of this relay, whose key is kept offline, is to sign: the
public halves of a signing key and of 31 link keys. Their secret halves stay in the state
folder. The relay may run meanwhile.

Bring FILE to where the identity key is, and compare the fingerprint there: it says that
nobody has changed FILE on the way. A request that waits for its answer is written again;
--new makes another one, and the answer to the one before is then worth nothing.`

const signHelp = `Signs what a relay has asked for with "chive keys request": its identity, in the folder DIR,
then lets the relay work for so many days, 30 at most. The answer is written beside FILE,
with the ending .answer, and is no secret. Nothing else is changed, and no network is needed.

Compare the fingerprint with the one that "chive keys request" has shown before you bring the
answer to the relay: whoever has the secret halves of what you sign is that relay for as long.`

const installHelp = `Takes the answer of the relay's identity into the state folder: FILE, which "chive keys sign"
has written. A relay that runs uses it within a minute. What the identity had signed before is
not used any more. An answer that does not fit is refused, and then nothing is changed.`

const rotateLinkHelp = `Spends the link key with which the relay proves itself now, where its identity key is kept
offline: it takes another of those that the identity has signed, within a minute. There are
two for each day, so that this can be done once a day; links that are up stay.

Other relays make a new link key each day and with each start: restart them instead.`

const rotateOnionHelp = `Replaces the onion key, with which clients make circuits through this relay, before its 28 days
are over: its successor, which is published already, becomes the current one, and another
successor is made. Stop the relay first. Circuits of clients whose list names the older key
go on to work: it is answered to for as long, then erased. Where somebody may have read the keys,
this ends what can be done with the onion key alone; whoever has the identity key is the relay.`

type rotateOnionObject struct {
	Schema string `json:"schema"`
	State  string `json:"state"`
	Key    string `json:"onion_key"`
	Before string `json:"onion_key_before"`
}

type initOfflineObject struct {
	Schema   string `json:"schema"`
	Folder   string `json:"folder"`
	Identity string `json:"identity"`
	Public   string `json:"public_file"`
}

func (a *app) keysInitOffline() *cobra.Command {
	return &cobra.Command{
		Use: "init-offline DIR", Short: "make an identity that is kept away from its relay", Long: initOfflineHelp, Args: exactly("DIR"),
		Example: "  chive keys init-offline /media/stick/maple",
		RunE: func(_ *cobra.Command, args []string) error {
			made, err := node.InitOffline(args[0], rand.Reader, time.Now())
			if err != nil {
				return err
			}
			a.note("Made an identity in %s. Keep a copy in another safe place, not on the relay: whoever has identity.key is that relay for ever.", made.Dir)
			a.answer(initOfflineObject{"chive.keys.init-offline/1", made.Dir, made.Identity, made.Public}, func(w io.Writer) {
				fmt.Fprintf(w, "identity %s\npublic %s\n", made.Identity, made.Public)
			})
			return nil
		},
	}
}

// requestObject is a request, and what was made of it.
type requestObject struct {
	Schema      string `json:"schema"`
	File        string `json:"file"`
	Identity    string `json:"identity"`
	Network     string `json:"network"`
	NetworkID   string `json:"network_id"`
	Made        string `json:"made"`
	Fingerprint string `json:"fingerprint"`
	Answer      string `json:"answer,omitempty"`
	Days        int    `json:"days,omitempty"`
	Ends        string `json:"ends,omitempty"`
}

func newRequestObject(schema string, r node.SigningRequest) requestObject {
	return requestObject{
		Schema: schema, File: r.File, Identity: r.Identity, Network: r.Network, NetworkID: r.NetworkID,
		Made: r.Made.Format(time.RFC3339), Fingerprint: r.Fingerprint,
	}
}

func (o *requestObject) print(w io.Writer) {
	fmt.Fprintf(w, "request %s\nidentity %s\nnetwork %s (%.8s...)\nmade %s\nfingerprint %s\n", o.File, o.Identity, o.Network, o.NetworkID, o.Made, o.Fingerprint)
}

func (a *app) keysRequest() *cobra.Command {
	var genesis string
	var anew bool
	c := &cobra.Command{
		Use: "request FILE", Short: "write what the relay's offline identity is to sign", Long: requestHelp, Args: exactly("FILE"),
		Example: "  chive keys request maple.request\n  chive keys request maple.request --genesis genesis.chive",
		RunE: func(c *cobra.Command, args []string) error {
			return a.withState(c, func(s *node.State) error {
				r, err := s.Request(args[0], genesis, anew, rand.Reader, time.Now())
				if err != nil {
					return err
				}
				a.note("Bring it to where the identity key is: chive keys sign --identity DIR %s", r.File)
				out := newRequestObject("chive.keys.request/1", *r)
				a.answer(out, out.print)
				return nil
			})
		},
	}
	c.Flags().StringVar(&genesis, "genesis", "", "the network's genesis document is in `FILE`; needed once, where relay init did not name it")
	c.Flags().BoolVar(&anew, "new", false, "make another request, though one waits for its answer")
	return c
}

func (a *app) keysSign() *cobra.Command {
	var dir, out string
	days := node.MaxCertifiedDays
	c := &cobra.Command{
		Use: "sign FILE", Short: "sign a relay's request with its offline identity", Long: signHelp, Args: exactly("FILE"),
		Example: "  chive keys sign --identity /media/stick/maple maple.request\n  chive keys sign --identity /media/stick/maple --days 7 maple.request",
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := node.SignRequest(dir, args[0], out, days, time.Now())
			if err != nil {
				return err
			}
			a.note("Compare the fingerprint with the one at the relay. Then bring the answer there: chive keys install %s", r.Answer)
			o := newRequestObject("chive.keys.sign/1", r.SigningRequest)
			o.Answer, o.Days, o.Ends = r.Answer, r.Days, r.Ends.Format(time.RFC3339)
			a.answer(o, func(w io.Writer) {
				o.print(w)
				fmt.Fprintf(w, "answer %s\nends %s\n", o.Answer, o.Ends)
			})
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&dir, "identity", "", "the identity key is in the folder `DIR`")
	f.IntVar(&days, "days", days, "let the relay work for `N` days, 1 to 30, less the hour by which the two clocks may differ")
	f.StringVar(&out, "out", "", "write the answer into `FILE`")
	return c
}

type installObject struct {
	Schema   string `json:"schema"`
	File     string `json:"file"`
	State    string `json:"state"`
	Identity string `json:"identity"`
	Network  string `json:"network"`
	LinkKeys int    `json:"link_keys"`
	Ends     string `json:"ends"`
}

func (a *app) keysInstall() *cobra.Command {
	return &cobra.Command{
		Use: "install FILE", Short: "take what the relay's offline identity has signed", Long: installHelp, Args: exactly("FILE"),
		Example: "  chive keys install maple.answer",
		RunE: func(c *cobra.Command, args []string) error {
			return a.withState(c, func(s *node.State) error {
				r, err := s.Install(args[0], time.Now())
				if err != nil {
					return err
				}
				ends := r.Ends.UTC().Format(time.RFC3339)
				a.answer(installObject{"chive.keys.install/1", args[0], s.Dir(), r.Identity, r.Network, r.Links, ends}, func(w io.Writer) {
					fmt.Fprintf(w, "installed %s\nidentity %s\nnetwork %s\nends %s\n", args[0], r.Identity, r.Network, ends)
				})
				return nil
			})
		},
	}
}

type rotateLinkObject struct {
	Schema string `json:"schema"`
	State  string `json:"state"`
	Ends   string `json:"link_key_ends"`
	Left   int    `json:"link_keys_left"`
	Until  string `json:"ends"`
}

func (a *app) keysRotate() *cobra.Command {
	link := &cobra.Command{
		Use: "link", Short: "spend the link key in use, of a relay whose identity is offline", Long: rotateLinkHelp, Args: exactly(),
		Example: "  chive keys rotate link",
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withState(c, func(s *node.State) error {
				r, err := s.RotateLink(time.Now())
				if err != nil {
					return err
				}
				o := rotateLinkObject{"chive.keys.rotate.link/1", s.Dir(), r.Ends.UTC().Format(time.RFC3339), r.Left, r.Until.UTC().Format(time.RFC3339)}
				a.answer(o, func(w io.Writer) {
					fmt.Fprintf(w, "link key until %s\nlink keys left %d\nends %s\n", o.Ends, o.Left, o.Until)
				})
				return nil
			})
		},
	}
	onion := &cobra.Command{
		Use: "onion", Short: "replace the key that circuits are made with", Long: rotateOnionHelp, Args: exactly(),
		Example: "  chive keys rotate onion",
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withState(c, func(s *node.State) error {
				r, err := s.RotateOnion(rand.Reader, time.Now())
				if err != nil {
					return err
				}
				a.note("Start the relay: its next descriptor names the new key. The one of before is answered to until no list names it any more.")
				a.answer(rotateOnionObject{"chive.keys.rotate.onion/1", s.Dir(), r.Current, r.Before}, func(w io.Writer) {
					fmt.Fprintf(w, "onion key %s\nbefore %s\n", r.Current, r.Before)
				})
				return nil
			})
		},
	}
	return parent("rotate", "replace a relay's keys before their time", "Replaces keys of the relay in the state folder before their time.", link, onion)
}
