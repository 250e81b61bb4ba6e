// SPDX-License-Identifier: BSD-3-Clause

package directory

import (
	"encoding/binary"
	"slices"

	"chive/directory/genesis"
	"chive/directory/gossip"
	"chive/directory/reconcile"
	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/directory/transition"
	"chive/directory/vote"
)

// Catalog is what the machines of one simulated network share: what is immutable and
// follows from its bytes alone is read, checked and held once, by content. It changes
// nothing that a machine does; what depends on a machine's clock or on what it holds
// is looked at by each of them. One that is nil shares nothing: a relay needs none.
//
// Its machines are of one document and have Verifiers that agree. It belongs to their
// one goroutine. What nobody has asked for in some epochs is forgotten.
//
// Spec: directory §1.
type Catalog struct {
	zero        *transition.State
	descriptors shelf[*opened]                 // by their bytes: signatures hold
	branches    interned[trieBranch]           // of the machines' tries
	bunches     memo[bunchOf, *trieBunch]      // of the machines' tries
	sets        map[trie]*reconcile.Set        // of digests, for repairs, lately
	holdings    memo[descriptor, *descriptor]  // as machines hold them
	neighbours  memo[assignment, []record.RID] // of relays
	changes     map[change]trie                // of tries, lately
	items       shelf[*item]                   // by class and bytes
	states      shelf[vote.State]              // by header
	encodings   shelf[[]byte]                  // of states, by header
	children    shelf[*child]                  // by parent and what a proposal adds
	bundles     shelf[*bundle]                 // by their bytes
	headers     shelf[*snapshot.Header]        // by digest
	certs       shelf[*vote.Certificate]       // by their bytes
	checks      shelf[error]                   // by ancestor and child
	lists       shelf[[]gossip.Relay]          // by table
	turned      uint64                         // epoch of the last clearing
}

// catalogEpochs is for how long what nobody asks for is held, at least.
const catalogEpochs = 4

// NewCatalog returns an empty one.
func NewCatalog() *Catalog { return &Catalog{} }

// turn forgets what nobody has asked for, now and then.
func (c *Catalog) turn(epoch uint64) {
	if c == nil || epoch < c.turned+catalogEpochs {
		return
	}
	c.turned = epoch
	c.descriptors.turn()
	c.bunches.turn()
	c.holdings.turn()
	c.neighbours.turn()
	c.items.turn()
	c.states.turn()
	c.encodings.turn()
	c.children.turn()
	c.bundles.turn()
	c.headers.turn()
	c.certs.turn()
	c.checks.turn()
	c.lists.turn()
}

// genesisState is snapshot 0.
func (c *Catalog) genesisState(doc *genesis.Document) *transition.State {
	if c == nil {
		return transition.Genesis(doc)
	}
	if c.zero == nil {
		c.zero = transition.Genesis(doc)
	}
	return c.zero
}

// descriptor returns a descriptor whose signatures hold whatever the time, if it is
// known.
func (c *Catalog) descriptor(data []byte) *opened {
	if c == nil {
		return nil
	}
	o, _ := c.descriptors.get(data)
	return o
}

// digest names the item that bytes of a descriptor are. Errors: record.DecodeSigned's.
func (c *Catalog) digest(data []byte) ([32]byte, error) {
	if o := c.descriptor(data); o != nil {
		return o.digest, nil
	}
	signed, err := record.DecodeSigned(data, record.MaxDescriptorSize)
	if err != nil {
		return [32]byte{}, err
	}
	return record.ItemDigest(record.ClassDescriptor, signed.Payload), nil
}

// keep makes a descriptor known. One that is signed through a certificate holds only
// for a time.
func (c *Catalog) keep(o *opened) {
	if c != nil && o.signed.Cert == nil {
		c.descriptors.put(o.data, o)
	}
}

// held returns a descriptor as machines hold it: one for all that hold it so.
func (c *Catalog) held(d descriptor) *descriptor {
	if c == nil {
		return &d
	}
	return one(&c.holdings, d)
}

// branch returns a branch of a trie: one for all that have it.
func (c *Catalog) branch(b trieBranch) *trieBranch {
	if c == nil {
		return &b
	}
	return c.branches.one(b)
}

// bunch returns a bunch of a trie: one for all that have it.
func (c *Catalog) bunch(of *bunchOf) *trieBunch {
	if c == nil {
		return newBunch(of)
	}
	b, known := c.bunches.get(*of)
	if !known {
		b = newBunch(of)
		c.bunches.put(*of, b)
	}
	return b
}

// catalogSets bounds the sets that are remembered: they are large, and what helps is that
// machines which hold the same begin repairs at the same time.
const catalogSets = 64

// set returns the digests of a trie as repairs compare them: one set for all that hold
// the same.
func (c *Catalog) set(t trie) *reconcile.Set {
	if c == nil {
		return setOf(slices.Collect(t.keys()))
	}
	s, known := c.sets[t]
	if !known {
		s = setOf(slices.Collect(t.keys()))
		if c.sets == nil || len(c.sets) >= catalogSets {
			c.sets = map[trie]*reconcile.Set{}
		}
		c.sets[t] = s
	}
	return s
}

// catalogChanges bounds the changes that are remembered. Many machines make the same
// ones above all when they start: with what a network of 10,000 has stored.
const catalogChanges = 1 << 16

// changed returns what a change leads to, if another machine has made it lately.
func (c *Catalog) changed(what change) (trie, bool) {
	if c == nil {
		return trie{}, false
	}
	t, known := c.changes[what]
	return t, known
}

func (c *Catalog) change(what change, to trie) {
	if c == nil {
		return
	}
	if c.changes == nil || len(c.changes) >= catalogChanges {
		c.changes = map[change]trie{}
	}
	c.changes[what] = to
}

// item reads an item of the committee. Errors: openItem's.
func (c *Catalog) item(class byte, data []byte) (*item, error) {
	if c == nil {
		return openItem(class, data)
	}
	name := append([]byte{class}, data...)
	if it, ok := c.items.get(name); ok {
		return it, nil
	}
	it, err := openItem(class, data)
	if err == nil {
		c.items.put(name, it)
	}
	return it, err
}

// state returns a state as members look at it.
func (c *Catalog) state(rules *vote.Transition, s *transition.State) vote.State {
	if c == nil {
		return rules.State(s)
	}
	name := s.Digest()
	out, ok := c.states.get(name[:])
	if !ok {
		out = rules.State(s)
		c.states.put(name[:], out)
	}
	return out
}

// bundle reads a state with what leads to it, of which all have one. Error: errBundle.
func (c *Catalog) bundle(rules *vote.Transition, doc *genesis.Document, data []byte) (*bundle, error) {
	if c == nil {
		return decodeBundle(doc, data)
	}
	if b, ok := c.bundles.get(data); ok {
		return b, nil
	}
	b, err := decodeBundle(doc, data)
	if err != nil {
		return nil, err
	}
	c.same(rules, b)
	c.bundles.put(data, b)
	return b, nil
}

// same puts what all share in the place of what is equal to it, in a bundle that
// nobody else has yet.
func (c *Catalog) same(rules *vote.Transition, b *bundle) {
	if c == nil {
		return
	}
	b.state = vote.Inner(c.state(rules, b.state))
	for i, h := range b.chain {
		name := h.Digest()
		b.chain[i] = c.headers.one(name[:], h)
	}
	if b.certificate != nil {
		b.certificate = c.certs.one(b.certificate.Encode(), b.certificate)
	}
}

// encoding returns a state's bytes, which nobody changes.
func (c *Catalog) encoding(s *transition.State) []byte {
	if c == nil {
		return s.Encode()
	}
	name := s.Digest()
	out, ok := c.encodings.get(name[:])
	if !ok {
		out = s.Encode()
		c.encodings.put(name[:], out)
	}
	return out
}

// relays returns a table as gossip needs it.
func (c *Catalog) relays(t *snapshot.Table) []gossip.Relay {
	root, dict := t.DirRoot(), t.DictRoot()
	name := append(root[:], dict[:]...)
	if c != nil {
		if out, ok := c.lists.get(name); ok {
			return out
		}
	}
	out := make([]gossip.Relay, t.Len())
	for i := range out {
		r := t.At(i)
		out[i] = gossip.Relay{RID: r.RID, Group: r.Group, Running: r.Flags&snapshot.FlagRunning != 0}
	}
	if c != nil {
		c.lists.put(name, out)
	}
	return out
}

// assignment is what out-neighbours follow from. Machines of one table have one list.
type assignment struct {
	beacon [32]byte
	caller record.RID
	relays *gossip.Relay
	count  int
}

// assigned returns what gossip.Config asks for: gossip.Assigned that remembers, or nil.
func (c *Catalog) assigned() func(beacon [32]byte, caller record.RID, relays []gossip.Relay) []record.RID {
	if c == nil {
		return nil
	}
	return func(beacon [32]byte, caller record.RID, relays []gossip.Relay) []record.RID {
		if len(relays) == 0 {
			return nil
		}
		at := assignment{beacon, caller, &relays[0], len(relays)}
		out, known := c.neighbours.get(at)
		if !known {
			out = gossip.Assigned(beacon, caller, relays)
			c.neighbours.put(at, out)
		}
		return out
	}
}

// child is what follows from a parent and a proposal, for who has the descriptors
// that it needs.
type child struct {
	vote.State
	needs []vote.Want
}

// shared are a machine's rules with a catalog: a transition is computed once.
type shared struct {
	*vote.Transition
	catalog *Catalog
}

// Next returns the child of a parent. Errors: vote.Transition's.
func (r *shared) Next(parent vote.State, in *vote.Input) (vote.State, error) {
	digest := parent.Digest()
	name := append([]byte(nil), digest[:]...)
	name = binary.BigEndian.AppendUint64(name, in.Epoch)
	name = binary.BigEndian.AppendUint64(name, uint64(in.Seat))
	name = append(append(name, in.Proof[:]...), in.VotesDigest[:]...)
	if known, ok := r.catalog.children.get(name); ok {
		for _, w := range known.needs {
			if r.Descriptor(w.RID, w.Body) == nil {
				return r.Transition.Next(parent, in) // which says what is missing
			}
		}
		return known.State, nil
	}
	var needs []vote.Want
	rules := &vote.Transition{Document: r.Document, Descriptor: func(rid record.RID, body [16]byte) *record.Descriptor {
		d := r.Descriptor(rid, body)
		if d != nil {
			needs = append(needs, vote.Want{RID: rid, Body: body})
		}
		return d
	}}
	out, err := rules.Next(parent, in)
	if err != nil {
		return nil, err
	}
	out = r.catalog.state(r.Transition, vote.Inner(out))
	r.catalog.children.put(name, &child{out, needs})
	return out, nil
}

// Check refuses a child that breaks the rules of validity. Errors: vote.Transition's.
func (r *shared) Check(ancestor, next vote.State) error {
	a, b := ancestor.Digest(), next.Digest()
	name := append(append([]byte(nil), a[:]...), b[:]...)
	err, ok := r.catalog.checks.get(name)
	if !ok {
		err = r.Transition.Check(ancestor, next)
		r.catalog.checks.put(name, err)
	}
	return err
}

// memberRules are the rules that the member is given.
func (m *Machine) memberRules() vote.Rules {
	if m.cfg.Catalog == nil {
		return m.rules
	}
	return &shared{m.rules, m.cfg.Catalog}
}
