// Package harden mends what the practices find, one reviewed change at a time:
// it plans over a [cluster.Snapshot], tries each change on the API server,
// writes it with a journal, watches what comes of it, and takes it back.
package harden

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-prod/kubectl-prod/pkg/change"
	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// Plan is what could be written to mend what a Snapshot shows.
type Plan struct {
	// Items are in the order in which they are asked about: the worst first,
	// but those that write the same object together.
	Items []*Item
	// Unsafe are the findings whose remedy proposes nothing.
	Unsafe []Refusal
	// Platform counts the findings on the platform's own objects; they are left
	// alone unless their namespace is the scope's.
	Platform int
	// Diagnosis is what the plan follows from.
	Diagnosis *report.Diagnosis
}

// Item mends the findings of one practice on one object: one question to ask.
type Item struct {
	Practice practice.Practice
	// Object is what the findings are about.
	Object   cluster.Ref
	Findings []practice.Finding
	// Proposal holds at most one Change an object. No two Items write the same
	// field, or a field inside the other's.
	Proposal practice.Proposal
	// Also are practices whose remedy writes the same, and is left out for it.
	Also []string

	unit int // Items that write one object in common have the same
}

// Refusal is why a remedy proposes nothing for a finding.
type Refusal struct {
	Practice string
	Object   cluster.Ref
	Reason   string
}

// Remediable are the practices that can be mended in a cluster.
func Remediable(all []practice.Practice) []practice.Practice {
	return slices.DeleteFunc(slices.Clone(all), func(p practice.Practice) bool {
		return p.Remedy == nil || p.Remedy.ManifestsOnly
	})
}

// Needs are the kinds that planning takes.
func Needs(practices []practice.Practice, scope practice.Scope) []cluster.Kind {
	kinds := scope.Needs(practices)
	for _, p := range practices {
		kinds = append(kinds, p.Remedy.Uses...)
	}
	slices.Sort(kinds)
	return slices.Compact(kinds)
}

// Make plans what the practices' remedies propose for what they find in scope.
// keep narrows it further to findings on objects that were named, the
// platform's too; nil keeps all but those. It
// is pure: it asks no cluster, so that owners and permissions are not known yet.
func Make(s *cluster.Snapshot, practices []practice.Practice, scope practice.Scope, keep func(cluster.Ref) bool) *Plan {
	plan := &Plan{Diagnosis: practice.Evaluate(s, practices, scope)}
	byID := map[string]practice.Practice{}
	for _, p := range practices {
		byID[p.ID] = p
	}
	items := items{byKey: map[itemKey]*Item{}, taken: map[cluster.Ref][]claim{}}
	for _, found := range plan.Diagnosis.Findings {
		f := practice.FindingOf(found)
		p := byID[found.Practice]
		switch {
		case p.Remedy == nil || keep != nil && !keep(f.Object):
			continue
		case found.Platform && keep == nil:
			plan.Platform++
			continue
		}
		for part, proposal := range p.Remedy.Propose(s, f).Each() {
			if proposal.Refused != "" {
				plan.Unsafe = append(plan.Unsafe, Refusal{p.ID, f.Object, proposal.Refused})
				continue
			}
			items.add(itemKey{p.ID, f.Object, part}, p, f, proposal)
		}
	}
	plan.Items = items.grouped()
	return plan
}

// Units are the Items, together where they write an object in common: each is
// one write and one rollout.
func (p *Plan) Units() [][]*Item {
	var units [][]*Item
	for i, item := range p.Items {
		if i > 0 && p.Items[i-1].unit == item.unit {
			units[len(units)-1] = append(units[len(units)-1], item)
		} else {
			units = append(units, []*Item{item})
		}
	}
	return units
}

// itemKey names an Item: of what a practice finds on an object, one part of
// what mends it.
type itemKey struct {
	practice string
	object   cluster.Ref
	part     int
}

// claim is that an Item writes a field; a new object is claimed as a whole.
type claim struct {
	item *Item
	edit *change.Edit
}

// items gathers Items so that no two write the same field.
type items struct {
	all   []*Item
	byKey map[itemKey]*Item
	taken map[cluster.Ref][]claim
}

// add takes in what would mend one finding. What another Item writes already is
// not proposed twice, whatever its value: the first is of the worse practice,
// and the next run sees what is left.
func (i *items) add(key itemKey, p practice.Practice, f practice.Finding, proposal practice.Proposal) {
	item := i.byKey[key]
	fresh := item == nil
	if fresh {
		item = &Item{Practice: p, Object: f.Object}
	}
	var added []change.Change
	var others []*Item
	for _, c := range proposal.Changes {
		kept, by := i.untaken(item, c)
		others = append(others, by...)
		if c.Create != nil && len(by) == 0 && !i.claims(item, c.Object) || len(kept.Edits) > 0 {
			added = append(added, kept)
		}
	}
	// The changes of a proposal belong together: a part of one is not taken.
	if whole := len(others) == 0; !whole {
		for _, other := range others {
			if other != item && !slices.Contains(other.Also, p.ID) {
				other.Also = append(other.Also, p.ID)
			}
		}
		return
	}
	item.Findings = append(item.Findings, f)
	item.Proposal.Why = joined(item.Proposal.Why, proposal.Why)
	item.Proposal.Risk = joined(item.Proposal.Risk, proposal.Risk)
	for _, c := range added {
		i.take(item, c)
	}
	if fresh && len(item.Proposal.Changes) > 0 {
		i.byKey[key] = item
		i.all = append(i.all, item)
	}
}

// untaken is a Change without the edits that the Item itself makes already;
// by are other Items that write one of its fields.
func (i *items) untaken(item *Item, c change.Change) (kept change.Change, by []*Item) {
	kept = change.Change{Object: c.Object, Create: c.Create}
	for _, taken := range i.taken[c.Object] {
		if c.Create != nil && taken.item != item {
			by = append(by, taken.item)
		}
	}
	for _, edit := range c.Edits {
		own := false
		for _, taken := range i.taken[c.Object] {
			switch {
			case taken.item == item && taken.edit != nil && taken.edit.Path.Equals(edit.Path):
				own = true
			case taken.item != item && (taken.edit == nil || overlap(*taken.edit, edit)):
				by = append(by, taken.item)
			}
		}
		if !own {
			kept.Edits = append(kept.Edits, edit)
		}
	}
	return kept, by
}

// claims reports whether the Item makes the object already.
func (i *items) claims(item *Item, object cluster.Ref) bool {
	return slices.ContainsFunc(i.taken[object], func(c claim) bool { return c.item == item })
}

func (i *items) take(item *Item, c change.Change) {
	if c.Create != nil {
		i.taken[c.Object] = append(i.taken[c.Object], claim{item: item})
	}
	for _, edit := range c.Edits {
		i.taken[c.Object] = append(i.taken[c.Object], claim{item, &edit})
	}
	for n := range item.Proposal.Changes {
		if item.Proposal.Changes[n].Object == c.Object {
			item.Proposal.Changes[n].Edits = append(item.Proposal.Changes[n].Edits, c.Edits...)
			return
		}
	}
	item.Proposal.Changes = append(item.Proposal.Changes, c)
}

// overlap reports whether one edit's field is the other's, or inside it.
func overlap(a, b change.Edit) bool {
	n := min(len(a.Path), len(b.Path))
	return a.Path[:n].Equals(b.Path[:n])
}

// grouped puts the Items that write an object in common together, each group
// where its first Item was.
func (i *items) grouped() []*Item {
	unitOf := map[cluster.Ref]int{}
	for n, item := range i.all {
		item.unit = n
		for _, c := range item.Proposal.Changes {
			if earlier, ok := unitOf[c.Object]; ok && earlier != item.unit {
				from, to := max(earlier, item.unit), min(earlier, item.unit)
				for _, other := range i.all[:n+1] {
					if other.unit == from {
						other.unit = to
					}
				}
				for ref, unit := range unitOf {
					if unit == from {
						unitOf[ref] = to
					}
				}
			}
			unitOf[c.Object] = item.unit
		}
	}
	slices.SortStableFunc(i.all, func(a, b *Item) int { return a.unit - b.unit })
	return i.all
}

func joined(a, b string) string {
	if b == "" || strings.Contains(a, b) {
		return a
	}
	if a == "" {
		return b
	}
	return fmt.Sprintf("%s; %s", a, b)
}
