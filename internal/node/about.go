// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"math"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"chive/directory/record"
	"chive/internal/config"
	"chive/internal/store"
	"chive/relay/exit"
)

// About is what an operator says about a relay in words.
type About struct {
	Nickname string `json:"nickname,omitempty"` // letters, digits, - and _; at most record.MaxNicknameSize bytes
	Contact  string `json:"contact,omitempty"`  // one line; at most record.MaxContactSize bytes
}

// declaration is what a relay declares. It is kept in the state folder for later
// runs, and its descriptor says it to everybody; nothing of it is secret.
type declaration struct {
	About
	Addresses []netip.AddrPort `json:"addresses,omitempty"`
	RateKbit  uint32           `json:"rate_kbit_per_second,omitempty"`
	Exit      string           `json:"exit,omitempty"` // off, web, reduced, or custom: relay/exit.policy
	Family    *familyWord      `json:"family,omitempty"`
}

// familyWord ties the relay to a family. The family's secret key stays in its own
// file, which is needed once for each network.
type familyWord struct {
	File      string `json:"file"`                // absolute
	Key       []byte `json:"key"`                 // public
	Network   []byte `json:"network,omitempty"`   // that Signature is for
	Signature []byte `json:"signature,omitempty"` // empty: not given yet
}

// maxSmallSize bounds small files of our own, in bytes.
const maxSmallSize = 4096

func (a About) check() error {
	odd := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
	}
	if len(a.Nickname) > record.MaxNicknameSize || strings.ContainsFunc(a.Nickname, odd) {
		return fault(Usage, "nickname", "Choose another.", "--nickname takes at most %d letters, digits, - and _", record.MaxNicknameSize)
	}
	if len(a.Contact) > record.MaxContactSize || !utf8.ValidString(a.Contact) || strings.ContainsFunc(a.Contact, unicode.IsControl) {
		return fault(Usage, "contact", "Shorten it to a mail address or a page.", "--contact takes one line of at most %d bytes", record.MaxContactSize)
	}
	return nil
}

// needContact refuses an exit that nobody could reach about it (REL-2).
func (a About) needContact(isExit bool) error {
	if !isExit || strings.TrimSpace(a.Contact) != "" {
		return nil
	}
	return fault(Usage, "contact_missing", "Add --contact with a mail address or a page where people can reach you.",
		"An exit needs a contact: what its users do looks as if this host did it")
}

// override takes what is given and not empty.
func (a *About) override(given About) {
	if given.Nickname != "" {
		a.Nickname = given.Nickname
	}
	if given.Contact != "" {
		a.Contact = given.Contact
	}
}

// withdraw takes back what is not to be said any more.
func (a *About) withdraw(w Withdrawn) {
	if w.Nickname {
		a.Nickname = ""
	}
	if w.Contact {
		a.Contact = ""
	}
}

// Declaring is what an operator says a relay is; what is empty stays as it was said
// before.
type Declaring struct {
	Addresses []string // IP:PORT, 1 to 4
	Exit      string   // off, web, reduced or a file of rules
	Rate      string   // with a unit, such as 1 MiB/s
	Family    string   // file of the family's key, made if it is not there
	About     About
	Withdrawn Withdrawn
}

// Withdrawn says which words of an operator are taken back: they were said before, and are
// said as empty now.
type Withdrawn struct{ Nickname, Contact bool }

// DefaultRate is what a relay offers unless it says otherwise.
const DefaultRate = "1 MiB/s"

// declared is a declaration with the exit policy that it names.
type declared struct {
	declaration
	policy *exit.Policy
	rules  []byte // of a policy that is no preset
}

// isExit reports whether clients can leave the network here.
func (d *declared) isExit() bool { return len(d.policy.Summary()) > 0 }

// declare joins what is said with what the state folder holds, and refuses what
// cannot be. It writes nothing.
func (s *State) declare(o Declaring) (*declared, error) {
	if err := o.About.check(); err != nil {
		return nil, err
	}
	kept, err := s.readDeclared()
	if err != nil {
		return nil, err
	}
	kept.withdraw(o.Withdrawn)
	kept.override(o.About)
	d := &declared{declaration: kept}
	if len(o.Addresses) > 0 {
		if d.Addresses, err = parseAddresses(o.Addresses); err != nil {
			return nil, err
		}
	}
	if o.Rate == "" && d.RateKbit == 0 {
		o.Rate = DefaultRate
	}
	if o.Rate != "" {
		if d.RateKbit, err = parseRate(o.Rate); err != nil {
			return nil, err
		}
	}
	if err := s.choosePolicy(d, o.Exit); err != nil {
		return nil, err
	}
	if o.Family != "" {
		if err := d.nameFamily(o.Family); err != nil {
			return nil, err
		}
	}
	return d, d.needContact(d.isExit())
}

// otherThan says that the relay was called otherwise, or offered another rate, before: a
// configuration file of the user's counts for each relay of the user. Empty: it did not.
func (d *declared) otherThan(before *declaration) string {
	var was, keep []string
	if before.Nickname != "" && before.Nickname != d.Nickname {
		was = append(was, "was called "+before.Nickname+", and is "+cmp.Or(d.Nickname, "nothing")+" now")
		keep = append(keep, "-o relay.nickname="+before.Nickname)
	}
	if before.RateKbit > 0 && before.RateKbit != d.RateKbit {
		was = append(was, "offered "+config.Kbit(before.RateKbit).About()+", and offers "+config.Kbit(d.RateKbit).About()+" now")
		keep = append(keep, "--rate "+quote(config.Kbit(before.RateKbit).About()))
	}
	if len(was) == 0 {
		return ""
	}
	return "This relay " + strings.Join(was, "; it ") + ". If what says so is meant for another relay, run this one with " + strings.Join(keep, " ") + "."
}

// ToldContact reports whether the relay in a state folder was told a contact before; a
// folder that cannot be read holds none.
func ToldContact(dir string) bool {
	if dir == "" {
		return false
	}
	kept, err := (&State{dir: dir}).readDeclared()
	return err == nil && strings.TrimSpace(kept.Contact) != ""
}

// readDeclared returns what the state folder holds about the relay.
func (s *State) readDeclared() (declaration, error) {
	path := s.path(aboutFile)
	data, err := store.ReadFile(path, maxSmallSize)
	var kept declaration
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return declaration{}, nil
	case err != nil:
		return declaration{}, fileFault(path, "file", err)
	case strictJSON(data, &kept) != nil || !kept.holds():
		return declaration{}, fault(Usage, "about_damaged",
			"Remove it, and say again what the relay is: chive relay init --state "+quote(s.dir)+" --address IP:PORT. The relay's keys stay.",
			"The file %s, which says what this relay declares, is damaged", path)
	}
	return kept, nil
}

// holds reports whether a declaration that was read can have been written here.
func (d *declaration) holds() bool {
	switch d.Exit {
	case "", "off", "web", "reduced", customPolicy:
	default:
		return false
	}
	f := d.Family
	return d.check() == nil && (len(d.Addresses) == 0 || record.CheckAddresses(d.Addresses) == nil) &&
		(f == nil || record.CheckSigningKey(f.Key) == nil && (len(f.Signature) == 0 || len(f.Signature) == record.SignatureSize))
}

// keepDeclared saves d for later runs.
func (s *State) keepDeclared(d *declared) error {
	if _, err := s.folder("relay"); err != nil {
		return err
	}
	data, err := json.MarshalIndent(d.declaration, "", "  ")
	if err != nil {
		return err
	}
	if len(d.rules) > 0 {
		if err := replace(s.path(policyFile), d.rules); err != nil {
			return err
		}
	}
	return replace(s.path(aboutFile), append(data, '\n'))
}

// replace writes a file if it is not the same already: a start writes nothing then, and
// works with a full disk.
func replace(path string, data []byte) error {
	if old, err := store.ReadFile(path, len(data)); err == nil && bytes.Equal(old, data) {
		return nil
	}
	if err := store.WriteFile(path, data); err != nil {
		return fileFault(path, "file", err)
	}
	return nil
}

// parseRate reads what a relay offers, in kbit/s.
func parseRate(text string) (uint32, error) {
	bits, err := config.ParseRate(text)
	if err != nil || bits/1000 > math.MaxUint32 {
		return 0, fault(Usage, "rate", cmp.Or(config.RateHint(text), "Write a number with its unit, such as 2 MiB/s or 20 Mbit/s."), "--rate %s is no rate", text)
	}
	if bits/8 < minRate {
		return 0, fault(Usage, "rate_small", "Offer at least 16 KiB/s, as relay.rate must say too; less carries nobody's circuit.", "--rate %s is less than a relay may offer", text)
	}
	return uint32(bits / 1000), nil
}

// minRate is the least that a relay offers, in bytes a second: what the configuration
// takes.
const minRate = 16 << 10

// examples are the blocks that stand in documents and nowhere else (RFC 5737, 3849, 9637).
var examples = []netip.Prefix{
	netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("3fff::/20"),
}

// ExampleAddresses says which of a relay's addresses are examples out of documents, which
// nobody can be reached at; empty: none.
func ExampleAddresses(addrs []netip.AddrPort) string {
	for _, a := range addrs {
		for _, p := range examples {
			if p.Contains(a.Addr()) {
				return a.Addr().String() + " is an example address, such as stands in documents: nobody is reached there. Say this relay's own: --address IP:PORT."
			}
		}
	}
	return ""
}

// NearAddresses says which of a relay's addresses only this machine or a private network
// reaches; empty: none.
func NearAddresses(addrs []netip.AddrPort) string {
	for _, a := range addrs {
		ip := a.Addr().Unmap()
		switch {
		case ip.IsLoopback():
			return ip.String() + " is this machine itself: a relay there is reached from it alone, which is for a testnet. Anywhere else say the address that others reach it at: --address IP:PORT."
		case ExampleAddresses([]netip.AddrPort{a}) == "" && !record.Public(ip):
			return ip.String() + " is no public address: a relay there is reached within that private or test network alone. Anywhere else say the address that others reach it at, and forward its port: --address IP:PORT."
		}
	}
	return ""
}

// addressFix says how to name an address.
const addressFix = "Give the address that others reach this relay at: --address IP:PORT, for example --address 127.0.0.1:9240 in a testnet on one machine. With --yes a public address of this machine is taken, or the router asked."

func errNoAddress(who string) *Fault {
	return fault(Usage, "address_missing", addressFix, "%s needs an address", who)
}

// parseAddresses reads the addresses that a relay publishes.
func parseAddresses(texts []string) ([]netip.AddrPort, error) {
	const fix = addressFix
	var out []netip.AddrPort
	for _, text := range texts {
		a, err := netip.ParseAddrPort(text)
		if err != nil {
			return nil, fault(Usage, "address", fix, "--address %s is not an IP address with a port", text)
		}
		out = append(out, a)
	}
	if record.CheckAddresses(out) != nil {
		return nil, fault(Usage, "address", fix,
			"These addresses cannot be published: at most %d of each IP version, none twice, none unspecified or multicast", record.MaxAddressesPerVersion)
	}
	return out, nil
}

// strictJSON reads one value and nothing else: a key that is not known is a damaged one.
func strictJSON(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("node: more than one value")
	}
	return nil
}
