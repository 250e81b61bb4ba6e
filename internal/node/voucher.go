// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"chive/directory/genesis"
	"chive/directory/record"
	"chive/internal/control"
	"chive/internal/store"
)

// VoucherMade is what Vouch did.
type VoucherMade struct {
	Text     string // the voucher, one line
	Identity string // hexadecimal; whom it is for
	Sponsor  string // rid, hexadecimal
	Day      int    // of the network
	Days     int    // for which it is valid, that one included
	File     string // that it was written to; empty: none
	// Others are vouchers for other relays that were given before and are good until one is
	// used. GapDays is for how long only one counts then; 0: each counts. Places is how many
	// of all the vouched get on the list in a day; 0: no limit.
	Others, GapDays, Places int
}

// vouchedFor is the last voucher that a relay gave, as it is kept, and those before that
// are good still.
type vouchedFor struct {
	voucherGiven
	Earlier []voucherGiven `json:"earlier,omitempty"`
}

type voucherGiven struct {
	Network  []byte `json:"network"`
	Identity []byte `json:"identity"`
	Day      int    `json:"day"`
}

// maxGiven bounds how many vouchers that were given are remembered, the newest ones.
const maxGiven = 16

// others returns the vouchers of a network that are good on a day, but for the one for a
// relay.
func (v *vouchedFor) others(nid [32]byte, newcomer []byte, day int) (out []voucherGiven) {
	if v == nil {
		return nil
	}
	for _, g := range append([]voucherGiven{v.voucherGiven}, v.Earlier...) {
		if bytes.Equal(g.Network, nid[:]) && !bytes.Equal(g.Identity, newcomer) && day-g.Day < record.VoucherDays {
			out = append(out, g)
		}
	}
	return out[:min(len(out), maxGiven)]
}

// Vouch makes a voucher of the relay in this state folder for the relay that whom names:
// an identity in hexadecimal, or a file that chive relay init or chive keys founder has
// written or printed. Whether the relay may vouch, and what day it is, is what the
// running relay's status says. again says that the voucher that was given before is not
// to count. out is the file to write; empty: none. Spec: directory §7 (vouchers).
func (s *State) Vouch(status *control.Status, whom, out string, again bool) (*VoucherMade, error) {
	if out != "" {
		if err := fresh(out); err != nil {
			return nil, err
		}
	}
	newcomer, err := identityOf(whom)
	if err != nil {
		return nil, err
	}
	keys, err := s.loadKeys()
	if err != nil {
		return nil, err
	}
	defer keys.wipe()
	if err := keys.needIdentity("a voucher"); err != nil {
		return nil, err
	}
	identity := keys.identityKey()
	defer clear(identity)
	var nid [32]byte
	if raw, err := hex.DecodeString(status.Network.ID); err != nil || copy(nid[:], raw) != len(nid) {
		return nil, fault(Failed, "voucher_failed", "Report this as a fault of chive.", "The running relay does not say what network it is in")
	}
	rid := record.NewRID(nid, identity.Public().(ed25519.PublicKey))
	name := hex.EncodeToString(rid[:])
	r := relayNamed(status, name)
	if r == nil {
		return nil, fault(Usage, "voucher_other_relay", "Name the state folder of the relay that runs (--state DIR), or its control socket.",
			"What runs there is not the relay in %s", s.dir)
	}
	v, err := mayVouch(status, r)
	if err != nil {
		return nil, err
	}
	before, err := s.readVouched()
	if err != nil {
		return nil, err
	}
	others := before.others(nid, newcomer, v.Day)
	if len(others) > 0 && !again && v.GapDays > 0 {
		return nil, fault(Denied, "voucher_given", "If that one is not going to be used: --again. All are good until one is used, which takes the others' place; the next counts "+strconv.Itoa(v.GapDays)+" days after that.",
			"None is left: this relay gave a voucher to the relay with the identity %x on day %d of the network, which nobody has used yet and which is good through day %d (today is day %d), and one of a sponsor's counts in %d days",
			others[0].Identity, others[0].Day, others[0].Day+record.VoucherDays-1, v.Day, v.GapDays)
	}
	text, err := record.NewVoucherText(nid, identity, newcomer, uint16(v.Day))
	if err != nil {
		return nil, fault(Usage, "voucher_self", "Name the identity of another relay: its operator's chive relay init prints it.", "A relay cannot vouch for itself")
	}
	if err := s.keepVouched(&vouchedFor{voucherGiven{nid[:], newcomer, v.Day}, others}); err != nil {
		return nil, err
	}
	made := &VoucherMade{Text: text.Encode(), Identity: hex.EncodeToString(newcomer), Sponsor: name, Day: v.Day, Days: record.VoucherDays, File: out,
		Others: len(others), GapDays: v.GapDays, Places: v.Places}
	if out != "" {
		return made, writePublic(out, []byte(made.Text+"\n"))
	}
	return made, nil
}

func relayNamed(s *control.Status, rid string) *control.Relay {
	for i := range s.Relays {
		if s.Relays[i].RID == rid {
			return &s.Relays[i]
		}
	}
	return nil
}

// staleVouching is how many epochs a relay's list may be behind when it says what day it is.
const staleVouching = 4

// mayVouch refuses when the relay may not vouch, or does not know.
func mayVouch(s *control.Status, r *control.Relay) (*control.Vouching, error) {
	v := r.Vouching
	if v == nil {
		return nil, fault(Unreachable, "voucher_unknown", "Wait until chive status shows the list of relays.", "The relay does not know yet whether it may vouch")
	}
	if r.Directory.Epoch+staleVouching < r.Directory.CurrentEpoch {
		return nil, fault(Unreachable, "voucher_behind", "Wait until it has caught up: chive status says why it has not.",
			"The relay's list is of epoch %d, and now is epoch %d: it does not know what day it is in the network", r.Directory.Epoch, r.Directory.CurrentEpoch)
	}
	if !v.May {
		fix := "Ask the operator of a relay that may: one that is on the list, runs, and has served long enough to sit in the committee."
		if v.FromDay > 0 {
			fix = "Ask the operator of another relay, or wait."
			return nil, fault(Denied, "voucher_not_eligible", fix, "This relay may not vouch: %s; the next voucher counts from day %d of the network on, which begins at %s UTC", v.Text, v.FromDay, v.FromTime.UTC().Format(time.DateTime))
		}
		return nil, fault(Denied, "voucher_not_eligible", fix, "This relay may not vouch: %s", v.Text)
	}
	return v, nil
}

// identityOf reads whom a voucher is for.
func identityOf(whom string) (ed25519.PublicKey, error) {
	text := whom
	if !isIdentity(text) {
		data, err := store.ReadFile(whom, record.MaxFounderFileSize)
		if err != nil {
			f := fileFault(whom, "file", err)
			f.Fix = "Give the newcomer's identity, 64 digits that its operator's chive relay init prints, or a file that holds it."
			return nil, f
		}
		if f, err := record.ParseFounderFile(data); err == nil {
			return f.Identity, nil
		}
		text = identityIn(string(data))
	}
	key, err := hex.DecodeString(text)
	if err != nil || record.CheckSigningKey(key) != nil {
		return nil, fault(Usage, "identity", "Get it from the newcomer's operator: chive relay init prints it on the line \"identity\".", "%s is not a relay's identity, and holds none", whom)
	}
	return key, nil
}

// ShortIdentity says of digits that are too few for an identity what they are, where a
// relay of the list begins so; nil: they are not that, or a file has that name. list may be
// nil.
func ShortIdentity(whom string, list *control.Relays) *Fault {
	const least, most = 4, 2*ed25519.PublicKeySize - 1
	low := strings.ToLower(whom)
	if len(low) < least || len(low) > most || strings.Trim(low, "0123456789abcdef") != "" {
		return nil
	}
	if there, err := exists(whom, "file"); err != nil || there {
		return nil
	}
	var full []string
	if list != nil {
		for i := range list.Relays {
			if strings.HasPrefix(list.Relays[i].RID, low) {
				full = append(full, list.Relays[i].RID)
			}
		}
	}
	what := fmt.Sprintf("%s has %d digits, and an identity has %d: it is the beginning of one, or a relay's RID", whom, len(whom), 2*ed25519.PublicKeySize)
	switch {
	case len(full) == 1:
		what = fmt.Sprintf("%s is no identity: it is the RID, or its beginning, of the relay %s, which is on the list already and needs no voucher", whom, full[0])
	case len(full) > 1:
		what = fmt.Sprintf("%s is no identity: %d relays of the list have a RID that begins so, and those need no voucher", whom, len(full))
	}
	return fault(Usage, "identity_short", fmt.Sprintf("Give all %d digits of the newcomer's identity, which its operator's chive relay init prints on the line \"identity\".", 2*ed25519.PublicKeySize), "%s", what)
}

// isIdentity reports 32 bytes in hexadecimal.
func isIdentity(text string) bool {
	raw, err := hex.DecodeString(text)
	return err == nil && len(raw) == ed25519.PublicKeySize
}

// identityIn finds the identity in what a command has printed, for people or for programs.
func identityIn(text string) string {
	var o struct {
		Identity string `json:"identity"`
	}
	if json.Unmarshal([]byte(text), &o) == nil {
		return o.Identity
	}
	fields := strings.Fields(text)
	if len(fields) == 1 {
		return fields[0]
	}
	for i := 1; i < len(fields); i++ {
		if fields[i-1] == "identity" && isIdentity(fields[i]) {
			return fields[i]
		}
	}
	return ""
}

// readVouched returns the last voucher that the relay gave; nil: none that is known.
func (s *State) readVouched() (*vouchedFor, error) {
	path := s.path(vouchedFile)
	data, err := store.ReadFile(path, maxSmallSize)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fileFault(path, "file", err)
	}
	v := new(vouchedFor)
	if json.Unmarshal(data, v) != nil {
		return nil, fault(Usage, "vouched_damaged", "Remove it: it only says whom this relay vouched for at last.", "The file %s is damaged", path)
	}
	return v, nil
}

func (s *State) keepVouched(v *vouchedFor) error {
	if _, err := s.folder("relay"); err != nil {
		return err
	}
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return replace(s.path(vouchedFile), append(data, '\n'))
}

// readVoucher reads a voucher that was given to the relay with an identity, for a network;
// no document: for any.
func readVoucher(path string, identity [32]byte, doc *genesis.Document) (*record.VoucherText, error) {
	v, err := parseVoucher(path)
	if err != nil {
		return nil, err
	}
	if string(v.Voucher.Identity) != string(identity[:]) {
		return nil, fault(Usage, "voucher_other", "Ask for one for this relay, whose identity is "+hex.EncodeToString(identity[:])+".",
			"The voucher in %s is for another relay, with the identity %x", path, []byte(v.Voucher.Identity))
	}
	if doc == nil {
		return v, nil
	}
	if v.Network != doc.NetworkID() {
		return nil, fault(Usage, "voucher_network", "Ask a sponsor in the network "+doc.Name+", or name the other network's genesis document.", "The voucher in %s is for another network", path)
	}
	return v, nil
}

// takeVoucher finds the voucher that the relay is to join with: the one that is named, or
// else the one that was placed in the state folder. One that is over is left out, with a
// note: the relay runs without.
func (s *State) takeVoucher(named string, identity [32]byte, doc *genesis.Document, today int) (v *record.VoucherText, note string, err error) {
	path, kept := named, s.path(voucherFile)
	there, err := exists(kept, "voucher")
	if err != nil {
		return nil, "", err
	}
	if path != "" && there { // it was placed there at the first run, and may be gone since
		if still, err := exists(path, "voucher"); err == nil && !still {
			path = ""
		}
	}
	if path == "" {
		if path = kept; !there {
			return nil, "", nil
		}
	}
	if v, err = readVoucher(path, identity, doc); err != nil {
		var f *Fault
		if path == kept && errors.As(err, &f) { // a relay that is on the list needs none
			return nil, f.Text + ". The relay runs without: remove it, or get it again from the sponsor.", nil
		}
		return nil, "", err
	}
	if today-int(v.Voucher.Day) >= record.VoucherDays {
		return nil, fmt.Sprintf("The voucher in %s has expired: it was given on day %d of the network, this is day %d, and it is good for %d. The relay joins without; ask for a new one.",
			path, v.Voucher.Day, today, record.VoucherDays), nil
	}
	return v, "", nil
}

// keepVoucher places a voucher in the state folder for later runs.
func (s *State) keepVoucher(v *record.VoucherText) error {
	if _, err := s.folder("relay"); err != nil {
		return err
	}
	return replace(s.path(voucherFile), []byte(v.Encode()+"\n"))
}

// CheckVoucher reads a voucher, whoever it is for. One that is not there is none to check
// if the first run has placed it in the state folder; otherwise a relay would not start.
func CheckVoucher(path, state string) error {
	there, err := exists(path, "voucher")
	if err == nil && !there && state != "" {
		if kept, err := exists((&State{dir: state}).path(voucherFile), "voucher"); err == nil && kept {
			return nil
		}
	}
	if err != nil {
		return err
	}
	_, err = parseVoucher(path)
	return err
}

// parseVoucher reads a voucher's text.
func parseVoucher(path string) (*record.VoucherText, error) {
	data, err := store.ReadFile(path, record.MaxVoucherTextSize)
	if err != nil {
		return nil, fileFault(path, "voucher", err)
	}
	v, err := record.ParseVoucherText(string(data))
	if err != nil {
		return nil, fault(Usage, "voucher_damaged", "Get it again from the sponsor, whose chive relay vouch prints one line; or remove it, and join without.", "%s is not a voucher, or was changed", path)
	}
	return v, nil
}
