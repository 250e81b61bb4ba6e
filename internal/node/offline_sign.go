// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"crypto/ed25519"
	"encoding/hex"
	"io"
	"path/filepath"
	"strings"
	"time"

	"chive/directory/genesis"
	"chive/directory/record"
	"chive/internal/store"
	"chive/link"
)

// Days for which an identity certifies.
const (
	MinCertifiedDays = 1
	MaxCertifiedDays = 30
)

// Clocks of the two machines may differ by clockGrace. A certificate that another machine
// sees more than 30 days ahead is refused there, so that it ends by so much earlier.
const clockGrace = time.Hour

// SigningRequest is what a relay asks of its offline identity.
type SigningRequest struct {
	File        string
	Identity    string // hexadecimal
	Network     string
	NetworkID   string // hexadecimal
	Made        time.Time
	Fingerprint string // to be compared with what keys sign shows
}

func (r *signingRequest) shown(file string) SigningRequest {
	return SigningRequest{
		File: file, Identity: hex.EncodeToString(r.identity[:]), Network: r.name, NetworkID: hex.EncodeToString(r.nid[:]),
		Made: r.made, Fingerprint: fingerprint(r.digest),
	}
}

// Request writes the file that the relay's offline identity is asked to sign. A request
// that waits for its answer is written again. genesis names the network's document; empty:
// the network to which the folder is bound. anew forgets a request that waits.
func (s *State) Request(file, genesisFile string, anew bool, rand io.Reader, now time.Time) (*SigningRequest, error) {
	if err := fresh(file); err != nil {
		return nil, err
	}
	keys, err := s.loadKeys()
	if err != nil {
		return nil, err
	}
	defer keys.wipe()
	if keys.offline == nil {
		return nil, s.notOffline("Nothing has to be signed elsewhere")
	}
	nid, name, err := s.requestNetwork(file, genesisFile)
	if err != nil {
		return nil, err
	}
	k := keys.offline.requested
	answered, err := keys.offline.answered()
	if err != nil {
		return nil, err
	}
	if k == nil || anew || answered || k.nid != nid {
		k = &requestedKeys{nid: nid, name: name, identity: keys.offline.public, made: now.UTC().Truncate(time.Second)}
		defer k.wipe()
		if err := k.make(keys.folder, rand); err != nil {
			return nil, err
		}
	}
	data, err := k.request()
	if err != nil {
		return nil, err
	}
	r, err := decodeRequest(data)
	if err != nil {
		return nil, err
	}
	shown := r.shown(file)
	return &shown, writePublic(file, data)
}

// make draws the keys, and keeps them before anybody can be asked to sign them.
func (k *requestedKeys) make(folder string, rand io.Reader) error {
	for _, b := range append([][]byte{k.signing[:]}, slicesOf(k.links[:])...) {
		if _, err := io.ReadFull(rand, b); err != nil {
			return fault(Failed, "no_randomness", "Restart the machine; if that does not help, do not run chive on it.", "The system gives no random bytes")
		}
	}
	data, err := k.encode()
	if err != nil {
		return err
	}
	defer clear(data)
	path := filepath.Join(folder, requestedFile)
	if err := store.Replace(path, data); err != nil {
		return fileFault(path, "key file", err)
	}
	return nil
}

// requestNetwork is the network that certificates are for. file is the request.
func (s *State) requestNetwork(file, genesisFile string) (nid [32]byte, name string, err error) {
	line, err := s.boundNetwork()
	if err != nil {
		return nid, "", err
	}
	if line == "" {
		if genesisFile == "" {
			return nid, "", fault(Usage, "network_unknown", "Name the network's genesis document: chive keys request "+quote(file)+" --genesis FILE.",
				"The relay in %s is not bound to a network yet, and what is signed for it counts in one network only", s.dir)
		}
		doc, err := loadGenesis(genesisFile)
		if err != nil {
			return nid, "", err
		}
		return doc.NetworkID(), doc.Name, s.bindRelay(doc)
	}
	if genesisFile != "" {
		doc, err := loadGenesis(genesisFile)
		if err != nil {
			return nid, "", err
		}
		if err := s.checkRelayNetwork(doc, genesisFile); err != nil {
			return nid, "", err
		}
	}
	id, name, _ := strings.Cut(line, " ")
	raw, err := hex.DecodeString(id)
	if err != nil || len(raw) != len(nid) || len(name) == 0 || len(name) > genesis.MaxNameSize {
		return nid, "", fault(Usage, "file_damaged", "Restore it from a backup.", "The file %s is damaged", s.path(relayNetworkFile))
	}
	return [32]byte(raw), name, nil
}

// notOffline refuses what is for a relay whose identity is kept offline.
func (s *State) notOffline(so string) *Fault {
	return fault(Usage, "identity_not_offline", "To keep it offline: chive relay init --state "+quote(s.dir)+" --offline-identity DIR; chive relay init --help says how.",
		"The relay in %s has its identity key here. %s", s.dir, so)
}

// SigningAnswer is what an offline identity has signed.
type SigningAnswer struct {
	SigningRequest
	Answer string    // file
	Ends   time.Time // of all of it
	Days   int
}

// SignRequest has the identity in a folder certify what a request asks for, and writes the
// answer beside the request, unless out names another file. It changes nothing else.
func SignRequest(dir, file, out string, days int, now time.Time) (*SigningAnswer, error) {
	if days < MinCertifiedDays || days > MaxCertifiedDays {
		return nil, fault(Usage, "days", "Name a number of days: --days 30.", "An identity certifies for %d to %d days, not for %d", MinCertifiedDays, MaxCertifiedDays, days)
	}
	if dir == "" {
		return nil, fault(Usage, "identity_missing", "Name its folder: --identity DIR.", "There is no identity to sign with")
	}
	if out == "" {
		out = strings.TrimSuffix(file, ".request") + ".answer"
	}
	if err := fresh(out); err != nil {
		return nil, err
	}
	data, err := store.ReadFile(file, maxRequestSize)
	if err != nil {
		return nil, fileFault(file, "request", err)
	}
	r, err := decodeRequest(data)
	if err != nil {
		return nil, fault(Usage, "request_damaged", "Name a file that chive keys request has written; bring it here anew if this is one.",
			"The file %s is damaged or is no request", file)
	}
	dir = filepath.Clean(dir)
	if err := store.CheckFolder(dir); err != nil {
		return nil, fileFault(dir, "folder", err)
	}
	if there, err := exists(filepath.Join(dir, identityFile), "key file"); err != nil {
		return nil, err
	} else if !there {
		return nil, fault(Usage, "identity_missing", "Name the folder in which identity.key is, one that chive keys init-offline made: --identity DIR.",
			"There is no identity in the folder %s", dir)
	}
	k, err := readKey(filepath.Join(dir, identityFile), useIdentity)
	if err != nil {
		return nil, err
	}
	defer clear(k.seed[:])
	public, err := k.public()
	if err != nil {
		return nil, err
	}
	if public != r.identity {
		return nil, fault(Usage, "request_other_identity", "Name the folder of that identity: --identity DIR.",
			"The request %s is of the relay with the identity %x, and the identity in %s is %x", file, r.identity, dir, public)
	}
	if r.made.Sub(now) > clockGrace {
		return nil, fault(Usage, "clock", "Set the clock that is wrong, here or at the relay (then: chive keys request --new FILE).",
			"The request says that it was made on %s UTC, and this machine's clock says %s", r.made.Format(time.DateTime), now.UTC().Format(time.DateTime))
	}
	identity := k.signing()
	defer clear(identity)
	a, err := r.sign(identity, days, now)
	if err != nil {
		return nil, err
	}
	packed, err := a.pack()
	if err != nil {
		return nil, err
	}
	done := &SigningAnswer{SigningRequest: r.shown(file), Answer: out, Ends: a.cert.NotAfter, Days: days}
	return done, writePublic(out, armour(answerBlock, packed))
}

// sign certifies the signing key for so many days, and a link key for each day and one
// more: each is good in the 48 hours before its certificate ends, so that there are two at
// every moment. What ends last ends with the signing key.
func (r *signingRequest) sign(identity ed25519.PrivateKey, days int, now time.Time) (*signingAnswer, error) {
	const day = 24 * time.Hour
	began := now.UTC().Truncate(time.Second).Add(-clockGrace)
	end := began.Add(time.Duration(days) * day)
	a := &signingAnswer{nid: r.nid, identity: r.identity, request: r.digest, cert: *record.NewCert(r.nid, identity, r.signing[:], end)}
	for i := range days + 1 {
		notAfter := began.Add(time.Duration(i+1) * day)
		if notAfter.After(end) {
			notAfter = end
		}
		c, err := link.SignCertificate(identity, r.nid, r.links[i], notAfter)
		if err != nil {
			return nil, err
		}
		a.certificates = append(a.certificates, c)
	}
	return a, nil
}

// Installed is an answer that a relay uses from now on.
type Installed struct {
	Identity string // hexadecimal
	Network  string
	Ends     time.Time
	Links    int // link keys that can be used from now on
}

// Install takes the answer to the relay's request. The relay may run meanwhile, and uses it
// within a minute. What was certified before is replaced; nothing changes where the answer
// is refused.
func (s *State) Install(file string, now time.Time) (*Installed, error) {
	data, err := store.ReadFile(file, maxAnswerSize)
	if err != nil {
		return nil, fileFault(file, "answer", err)
	}
	a, err := decodeAnswer(data)
	if err != nil {
		return nil, fault(Usage, "answer_damaged", "Name a file that chive keys sign has written; bring it here anew if this is one.",
			"The file %s is damaged or is no answer", file)
	}
	keys, err := s.loadKeys()
	if err != nil {
		return nil, err
	}
	defer keys.wipe()
	o := keys.offline
	if o == nil {
		return nil, s.notOffline("There is nothing to install")
	}
	if err := s.answers(file, a, o, now); err != nil {
		if answered, failed := o.answered(); failed == nil && answered {
			_ = store.Erase(filepath.Join(keys.folder, requestedFile)) // a kill came before; Request knows it, too
		}
		return nil, err
	}
	c, err := newCertified(a, o.requested.signing, o.requested.links[:len(a.certificates)], 0)
	if err != nil {
		return nil, fault(Usage, "answer_damaged", "Bring the answer here anew, or have the request signed again: chive keys sign --identity DIR FILE.",
			"Something in the answer %s is not what this relay has asked for, or not signed by its identity", file)
	}
	defer c.wipe()
	if _, err := c.relay.Link(now); err != nil {
		return nil, fault(Usage, "answer_times", "Set the clock of the machine that signed, or of this one, and have the request signed again.",
			"By this machine's clock no link key in the answer %s is good now", file)
	}
	if err := saveCertified(keys.folder, c); err != nil {
		return nil, err
	}
	waits := filepath.Join(keys.folder, requestedFile)
	if err := store.Erase(waits); err != nil {
		return nil, fileFault(waits, "key file", err)
	}
	return &Installed{Identity: hex.EncodeToString(o.public[:]), Network: o.requested.name, Ends: c.relay.Ends(), Links: len(c.relay.Links)}, nil
}

// answered reports whether the request that waits has its answer already: a kill kept it.
func (o *offlineIdentity) answered() (bool, error) {
	if o.requested == nil || o.certified == nil {
		return false, nil
	}
	digest, err := o.requested.digest()
	return digest == o.certified.answer.request, err
}

// answers refuses an answer that is not to what this relay has asked, or not of this time.
func (s *State) answers(file string, a *signingAnswer, o *offlineIdentity, now time.Time) error {
	bound, err := s.boundNetwork()
	if err != nil {
		return err
	}
	id, _, _ := strings.Cut(bound, " ")
	switch {
	case a.identity != o.public:
		return fault(Usage, "answer_other_relay", "Install it where that relay is: --state DIR.",
			"The answer %s is for the relay with the identity %x, and this one's is %x", file, a.identity, o.public)
	case bound != "" && id != hex.EncodeToString(a.nid[:]):
		return fault(Usage, "answer_other_network", "Ask anew for the network that it is in: chive keys request FILE.",
			"The answer %s is for another network than that of the relay in %s (%s)", file, s.dir, shortNetwork(bound))
	case o.certified != nil && o.certified.answer.request == a.request:
		return fault(Usage, "answer_used", "Nothing is to be done. Before it ends, ask anew: chive keys request FILE.",
			"The answer to this request is installed already; it ends on %s UTC", o.certified.relay.Ends().UTC().Format(time.DateTime))
	case o.requested == nil:
		return fault(Usage, "answer_unasked", "Ask first: chive keys request FILE, and have that file signed.",
			"The relay in %s waits for no answer: %s belongs to a request that it has not kept", s.dir, file)
	}
	digest, err := o.requested.digest()
	if err != nil {
		return err
	}
	switch left := a.cert.NotAfter.Sub(now); {
	case digest != a.request:
		return fault(Usage, "answer_other_request", "Install the answer to the request that waits. To write that request again: chive keys request FILE.",
			"The answer %s is to another request than the one that this relay waits for, which was made on %s UTC", file, o.requested.made.Format(time.DateTime))
	case left <= 0:
		return fault(Usage, "answer_expired", "Have the request signed again: chive keys sign --identity DIR FILE.",
			"What the answer %s certifies ended on %s UTC, by this machine's clock", file, a.cert.NotAfter.Format(time.DateTime))
	case left > record.MaxCertLife:
		return fault(Usage, "answer_times", "Set the clock of the machine that signed, or of this one, and have the request signed again.",
			"What the answer %s certifies ends on %s UTC, which is more than %d days ahead: nobody would accept it", file, a.cert.NotAfter.Format(time.DateTime), MaxCertifiedDays)
	}
	return nil
}

// RotatedLink is a link key that was spent.
type RotatedLink struct {
	Ends  time.Time // of the one that is used now
	Until time.Time // of all that the identity has certified
	Left  int       // link keys that can still be used
}

// RotateLink spends the link key in use, of those that the offline identity has certified:
// the relay proves itself with another one within a minute. Its links that are up stay.
func (s *State) RotateLink(now time.Time) (*RotatedLink, error) {
	keys, err := s.loadKeys()
	if err != nil {
		return nil, err
	}
	defer keys.wipe()
	if keys.offline == nil {
		return nil, fault(Usage, "link_in_memory", "Restart the relay.", "The relay in %s makes a new link key each day and with each start, and keeps it in memory only", s.dir)
	}
	c := keys.offline.certified
	if c == nil {
		return nil, s.uncertified("certificates_missing", "Its offline identity has certified nothing yet, or relay/keys/certified.key is gone")
	}
	used, err := c.relay.Link(now)
	if err != nil {
		return nil, s.uncertified("certificates_over", "No link key that its offline identity has certified is good now")
	}
	for i, seed := range c.links {
		id, err := link.CertifiedIdentity(c.answer.nid, &seed, c.answer.certificates[i])
		if err == nil && c.spent&(1<<i) == 0 && id.NotAfter().Equal(used.NotAfter()) {
			c.spent |= 1 << i
			break
		}
	}
	// next shares its seeds with c, which is wiped with the keys.
	next, err := newCertified(c.answer, c.signing, c.links, c.spent)
	if err != nil {
		return nil, err
	}
	other, err := next.relay.Link(now)
	if err != nil {
		return nil, fault(Usage, "link_last", "Ask the identity for others: chive keys request FILE. Or wait a day for the next one.",
			"The link key in use is the only one that is good now, and was not spent")
	}
	done := &RotatedLink{Ends: other.NotAfter(), Until: next.relay.Ends()}
	for _, id := range next.relay.Links {
		if id.NotAfter().After(now) {
			done.Left++
		}
	}
	return done, saveCertified(keys.folder, next)
}

// uncertified says that a relay has nothing to prove itself with.
func (s *State) uncertified(code, why string) *Fault {
	return fault(Usage, code, RenewFix+" (with --state "+quote(s.dir)+").", "The relay in %s cannot prove who it is. %s", s.dir, why)
}

// openCertified makes a running relay's source of certified keys, and refuses what nobody
// would accept.
func (s *State) openCertified(keys *relayKeys, doc *genesis.Document, now time.Time) (*certifiedSource, error) {
	c := keys.offline.certified
	switch {
	case c == nil && keys.offline.requested != nil:
		return nil, s.uncertified("certificates_missing", "Its offline identity has certified nothing yet; a request was made on "+keys.offline.requested.made.Format(time.DateTime)+" UTC")
	case c == nil:
		return nil, s.uncertified("certificates_missing", "Its offline identity has certified nothing yet, or relay/keys/certified.key is gone")
	case c.answer.nid != doc.NetworkID():
		return nil, s.uncertified("certificates_other_network", "What its offline identity has certified is for another network than "+doc.Name)
	case !now.Before(c.relay.Ends()):
		return nil, s.uncertified("certificates_over", "What its offline identity has certified ended on "+c.relay.Ends().UTC().Format(time.DateTime)+" UTC, by this machine's clock")
	case c.relay.Cert.NotAfter.Sub(now) > record.MaxCertLife:
		return nil, s.uncertified("certificates_ahead", "What its offline identity has certified ends on "+c.relay.Ends().UTC().Format(time.DateTime)+" UTC, more than 30 days ahead by this machine's clock, which may be behind")
	}
	source := &certifiedSource{folder: keys.folder, identity: keys.offline.public, nid: c.answer.nid}
	if _, err := source.Certified(); err != nil {
		return nil, err
	}
	return source, nil
}

// boundNetwork returns the line of the network that the relay's folder is bound to; empty:
// none.
func (s *State) boundNetwork() (string, error) {
	line, _, _, err := s.readBinding(relayNetworkFile)
	return line, err
}
