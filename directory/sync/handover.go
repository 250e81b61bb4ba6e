// SPDX-License-Identifier: BSD-3-Clause

package sync

import (
	"cmp"
	"maps"
	"slices"

	"chive/directory/committee"
	"chive/directory/genesis"
	"chive/directory/snapshot"
	"chive/directory/transition"
	"chive/directory/vote"
	"chive/directory/vrf"
)

const (
	// maxLooked bounds the certificates that are looked at for one step.
	maxLooked = 256
	// maxLooks bounds the lists and chains that are looked at for one answer.
	maxLooks = 2 * vote.MaxStepCount
)

// handOver is what a server knows of lists: which there are, and the steps to them. It
// is immutable.
type handOver struct {
	p     genesis.Params
	nid   [32]byte
	lists map[[32]byte]*committee.List // by root
	known []link                       // as relays hand them on, by epoch
	more  []link                       // signed by the other committee than the known ones
}

// link is a step with the roots of the list that it brings and of the one that signed.
type link struct {
	step         *vote.Step
	root, signer [32]byte
}

func linkOf(s *vote.Step) (link, bool) {
	root, err := s.List.Root()
	return link{s, root, ownerRoot(s.Certificate.Header)}, err == nil
}

// ownerRoot returns the root of the list that signed a header.
func ownerRoot(h *snapshot.Header) [32]byte {
	if transition.OwnerName(h.Epoch) == committee.B {
		return h.ListB
	}
	return h.ListA
}

// commits reports whether a header has a root among its lists.
func commits(h *snapshot.Header, root [32]byte) bool {
	return root == h.ListA || root == h.NextA || root == h.ListB || root == h.NextB
}

// with returns what is known once a state is the newest, with the steps to it.
func (o handOver) with(p genesis.Params, state *transition.State, c *vote.Certificate, steps []*vote.Step) handOver {
	n := handOver{p: p, nid: state.Snapshot().Header().NetworkID, lists: maps.Clone(o.lists), known: slices.Clone(o.known), more: slices.Clone(o.more)}
	if n.lists == nil {
		n.lists = map[[32]byte]*committee.List{}
	}
	for _, l := range state.Lists() {
		if l != nil && n.lists[l.Root()] == nil {
			n.lists[l.Root()] = l.ForClients()
		}
	}
	for _, s := range steps {
		l, ok := linkOf(s)
		if ok && !slices.ContainsFunc(n.known, func(k link) bool { return k.root == l.root }) {
			n.lists[l.root] = s.List
			n.known = append(n.known, l)
		}
	}
	if c != nil {
		n.improve(c)
	}
	slices.SortStableFunc(n.known, func(a, b link) int {
		return cmp.Compare(a.step.Certificate.Header.Epoch, b.step.Certificate.Header.Epoch)
	})
	for len(n.known) > maxSteps {
		delete(n.lists, n.known[0].root)
		n.known = n.known[1:]
	}
	return n
}

// signedBy returns the committee that signed the step.
func (l link) signedBy() committee.Name {
	return transition.OwnerName(l.step.Certificate.Header.Epoch)
}

// improve keeps a certificate of the other committee than that of the known step to a
// list, so that a client that needs one committee's lists does not need the other's too.
func (o *handOver) improve(c *vote.Certificate) {
	for _, k := range o.known {
		if transition.OwnerName(c.Header.Epoch) == k.signedBy() || !commits(c.Header, k.root) || ownerRoot(c.Header) == k.root ||
			slices.ContainsFunc(o.more, func(m link) bool { return m.root == k.root }) {
			continue
		}
		if l, ok := o.make(c, k.root); ok {
			o.more = append(o.more, l)
		}
	}
	o.more = o.more[max(0, len(o.more)-maxSteps):]
}

// make makes the step to a list from a certificate that commits to it.
func (o *handOver) make(c *vote.Certificate, root [32]byte) (link, bool) {
	signer, list := o.lists[ownerRoot(c.Header)], o.lists[root]
	if signer == nil || list == nil {
		return link{}, false
	}
	s, err := vote.NewStep(c, len(signer.Keys), list)
	return link{s, root, ownerRoot(c.Header)}, err == nil
}

// without forgets the steps of a header that is not final any more.
func (o handOver) without(digest [32]byte) handOver {
	is := func(k link) bool { return k.step.Certificate.HeaderDigest() == digest }
	o.known, o.more = slices.DeleteFunc(slices.Clone(o.known), is), slices.DeleteFunc(slices.Clone(o.more), is)
	return o
}

// trusting takes every signature: what a server holds was verified.
type trusting struct{}

func (trusting) Signatures([]vote.Check) bool { return true }

func (trusting) Proof([32]byte, []byte, [vrf.ProofSize]byte) ([vrf.OutputSize]byte, error) {
	return [vrf.OutputSize]byte{}, vrf.ErrProof
}

// Floor is the epoch from which on a client with these lists takes certificates of
// steps: since then every certificate was signed by a list that is in force at epoch, or
// by a later one. Retired keys have no say. Spec: protocol §7 (SYNC-6).
func Floor(p genesis.Params, lists []*committee.List, epoch uint64) uint64 {
	var out uint64
	for _, l := range lists {
		if start := transition.TermStart(p, l.Committee, l.Term); start <= epoch {
			out = max(out, start)
		}
	}
	return out
}

// last returns the latest term of a committee among lists.
func last(lists []*committee.List, c committee.Name) (term uint64, ok bool) {
	for _, l := range lists {
		if l.Committee == c && (!ok || l.Term > term) {
			term, ok = l.Term, true
		}
	}
	return term, ok
}

// search is the work on one answer: what a client knows, and the steps that were made for
// it, from a certificate to a list. Whoever asks chooses what is looked for.
type search struct {
	*handOver
	certs  []*kept
	client *vote.Anchor
	made   map[pair]link // without a step: there is none
}

type pair struct{ header, root [32]byte }

func (o *handOver) search(certs []*kept, client *vote.Anchor) *search {
	return &search{o, certs, client, map[pair]link{}}
}

// makeOnce makes the step to a list from a certificate that commits to it.
func (x *search) makeOnce(k *kept, root [32]byte) (link, bool) {
	l, found := x.made[pair{k.digest, root}]
	if !found {
		l, _ = x.make(k.certificate(), root)
		x.made[pair{k.digest, root}] = l
	}
	return l, l.step != nil
}

// steps returns the steps by which a client gets from what it believes to the working
// snapshot: as few as do if it is far behind; else those to all lists that the working
// header commits to, so that it never falls behind. It has no more than vote.MaxStepCount.
func (o *handOver) steps(s *Server, q *Request, w *held) [][]byte {
	client := &vote.Anchor{Epoch: q.Epoch}
	for _, root := range q.Lists {
		if l := o.lists[root]; l != nil {
			client.Lists = append(client.Lists, l)
		}
	}
	client.Epoch = Floor(o.p, client.Lists, q.Epoch)
	if len(client.Lists) > 0 { // from none nothing leads anywhere
		working, err := vote.DecodeCertificate(w.cert)
		invariant(err == nil) // it was encoded here
		if best, ok := o.search(s.certs, client).lead(working); ok {
			return encodeSteps(best)
		}
	}
	var all []*vote.Step
	for _, k := range o.known {
		if term, ok := last(client.Lists, k.step.List.Committee); (!ok || k.step.List.Term > term) && len(all) < vote.MaxStepCount {
			all = append(all, k.step)
		}
	}
	return encodeSteps(all)
}

// lead returns steps that lead to the working snapshot.
func (x *search) lead(working *vote.Certificate) (best []*vote.Step, ok bool) {
	leads := func(steps []*vote.Step) bool {
		_, err := x.client.Follow(x.p, x.nid, steps, working, trusting{})
		return err == nil
	}
	if leads(nil) {
		return x.upToDate(working, leads), true
	}
	for _, own := range []bool{false, true} {
		if chain, found := x.chain(working, own, leads); found && (!ok || len(chain) < len(best)) {
			best, ok = chain, true
		}
	}
	return best, ok
}

func encodeSteps(steps []*vote.Step) (out [][]byte) {
	for _, s := range steps {
		out = append(out, s.Encode())
	}
	return out
}

// upToDate returns steps to the lists of the working header that the client lacks.
func (x *search) upToDate(working *vote.Certificate, leads func([]*vote.Step) bool) []*vote.Step {
	h := working.Header
	var out []*vote.Step
	for _, root := range [][32]byte{h.ListA, h.NextA, h.ListB, h.NextB} {
		list := x.lists[root]
		if list == nil {
			continue
		}
		if term, ok := last(x.client.Lists, list.Committee); ok && list.Term <= term {
			continue
		}
		for _, l := range x.candidates(root, h.Epoch, false) {
			if with := inOrder(append(slices.Clone(out), l.step)); leads(with) {
				out = with
				break
			}
		}
	}
	return out
}

// chain goes back from the list that signed the working snapshot to what the client
// has: by certificates of A, or of each list's own committee, and by others where those
// lead nowhere.
func (x *search) chain(working *vote.Certificate, own bool, leads func([]*vote.Step) bool) ([]*vote.Step, bool) {
	have := map[[32]byte]bool{}
	for _, l := range x.client.Lists {
		root, err := l.Root()
		have[root] = err == nil
	}
	looks := maxLooks
	var back func(root [32]byte, until uint64, steps []*vote.Step) []*vote.Step
	back = func(root [32]byte, until uint64, steps []*vote.Step) []*vote.Step {
		if looks--; looks < 0 {
			return nil
		}
		if have[root] {
			if steps = inOrder(slices.Clone(steps)); leads(steps) {
				return steps
			}
			return nil
		}
		if len(steps) == vote.MaxStepCount {
			return nil
		}
		have[root] = true // whoever comes back to it on the way has it by then
		defer delete(have, root)
		for _, l := range x.candidates(root, until, own) {
			if found := back(l.signer, l.step.Certificate.Header.Epoch, append(steps[:len(steps):len(steps)], l.step)); found != nil {
				return found
			}
		}
		return nil
	}
	found := back(ownerRoot(working.Header), working.Header.Epoch, nil)
	return found, found != nil
}

// inOrder sorts steps: by epoch, of one certificate that to its own committee's list
// last.
func inOrder(steps []*vote.Step) []*vote.Step {
	own := func(s *vote.Step) int {
		if s.List.Committee == transition.OwnerName(s.Certificate.Header.Epoch) {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(steps, func(a, b *vote.Step) int {
		return cmp.Or(cmp.Compare(a.Certificate.Header.Epoch, b.Certificate.Header.Epoch), cmp.Compare(own(a), own(b)))
	})
	return steps
}

// candidates returns steps to a list whose certificates are of epochs up to last, and
// which a client can verify, the best first: by A, to a list of B made from the newest
// certificate of A; or by the list's own committee.
func (x *search) candidates(root [32]byte, last uint64, own bool) []link {
	var best, others, ofB []link
	for _, all := range [][]link{x.known, x.more} {
		for _, k := range all {
			if k.root != root || k.step.Certificate.Header.Epoch > last || !x.believed(x.client, k.step.Certificate.Header) {
				continue
			}
			if c := k.step.List.Committee; k.signedBy() == c && (own || c == committee.A) {
				best = append(best, k)
			} else {
				others = append(others, k)
			}
		}
	}
	if len(best) > 0 || x.lists[root] == nil {
		return append(best, others...)
	}
	newest, _ := slices.BinarySearchFunc(x.certs, last, func(k *kept, e uint64) int {
		if k.epoch > e {
			return 1
		}
		return -1
	})
	for i := newest - 1; i >= max(0, newest-maxLooked) && x.certs[i].epoch >= x.client.Epoch; i-- {
		h := x.certs[i].header
		if !commits(h, root) || ownerRoot(h) == root || !x.believed(x.client, h) {
			continue
		}
		ofA := transition.OwnerName(h.Epoch) == committee.A
		if !ofA && len(ofB) > 0 {
			continue
		}
		l, ok := x.makeOnce(x.certs[i], root)
		switch {
		case !ok:
		case ofA:
			return slices.Concat([]link{l}, others, ofB)
		default:
			ofB = append(ofB, l)
		}
	}
	return slices.Concat(others, ofB)
}

// believed reports whether a client can go by a header: not if it knows a later list of
// the committee that signed it, whose term had begun. After a standstill a list is drawn
// when its term has long begun, and those before still signed that draw.
// Spec: protocol §7 (SYNC-5), §13 (HAND-2).
func (o *handOver) believed(client *vote.Anchor, h *snapshot.Header) bool {
	signer := o.lists[ownerRoot(h)]
	return h.Epoch >= client.Epoch && signer != nil && !slices.ContainsFunc(client.Lists, func(l *committee.List) bool {
		return l.Committee == signer.Committee && l.Term > signer.Term && transition.TermStart(o.p, l.Committee, l.Term) <= h.Epoch
	})
}
