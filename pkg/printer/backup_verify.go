package printer

import (
	"fmt"
	"io"
	"strings"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// ObjectFormats are the values of -o for a result that is no list.
func ObjectFormats() []string {
	return []string{"table", "wide", "json", "yaml", "kyaml", "jsonpath=", "jsonpath-file=", "go-template=", "go-template-file="}
}

// EtcdVerification prints what was found about a snapshot.
func (o Options) EtcdVerification(w io.Writer, v *report.EtcdVerification) error {
	if !o.human() {
		return o.object(w, v)
	}
	fmt.Fprintf(w, "%s: %s\n", escape(v.File), o.verdict(v.Proof))
	if source := sourceOf(v.Source); source != "" {
		fmt.Fprintln(w, source)
	}
	fmt.Fprintln(w)
	if err := o.proof(w, v.Proof); err != nil {
		return err
	}
	return o.contents(w, v.Contents)
}

// verdict is the verdict with its reason.
func (o Options) verdict(p report.EtcdProof) string {
	switch p.Verdict {
	case report.Proven:
		text := "proven by a restore"
		if p.Depth != "restore" {
			text = "in order, as far as " + p.Depth + " goes"
		}
		return o.paint(green, text)
	case report.Unproven:
		return o.paint(yellow, string(p.Verdict)) + ", " + escape(p.Reason)
	default:
		return o.paint(bold+red, string(p.Verdict)) + ", " + escape(p.Reason)
	}
}

// proof is the table of checks.
func (o Options) proof(w io.Writer, p report.EtcdProof) error {
	var rows [][]string
	for _, c := range p.Checks {
		state := c.State
		switch state {
		case report.CheckPassed:
			state = o.paint(green, state)
		case report.CheckFailed:
			state = o.paint(red, state)
		default:
			state = o.paint(yellow, state)
		}
		rows = append(rows, []string{c.Name, state, escape(c.Detail)})
	}
	return o.table(w, o.header("CHECK", "RESULT", "DETAIL"), rows)
}

func (o Options) header(columns ...string) []string {
	if o.NoHeaders {
		return nil
	}
	return columns
}

// contents are the objects by resource; all of them with -o wide.
func (o Options) contents(w io.Writer, c *report.EtcdContents) error {
	if c == nil {
		return nil
	}
	if len(c.Encrypted) > 0 {
		var keys []string
		for _, e := range c.Encrypted {
			keys = append(keys, fmt.Sprintf("%s key %q (%d objects)", e.Provider, e.Key, e.Objects))
		}
		fmt.Fprintf(w, "\n%s: without these keys the backup cannot be read, and they are not in it: %s\n",
			o.paint(yellow, "Encrypted at rest"), escape(strings.Join(keys, ", ")))
	}
	if o.Format != "wide" {
		return nil
	}
	var rows [][]string
	for _, r := range c.Resources {
		live := "-"
		if r.Live != nil {
			live = fmt.Sprint(*r.Live)
		}
		rows = append(rows, []string{escape(r.Resource), fmt.Sprint(r.Count), live})
	}
	fmt.Fprintln(w)
	return o.table(w, o.header("RESOURCE", "IN BACKUP", "LIVE AT THAT REVISION"), rows)
}

// sourceOf says in a line where a snapshot came from.
func sourceOf(s *report.EtcdSource) string {
	if s == nil {
		return ""
	}
	var parts []string
	if s.Context != "" {
		parts = append(parts, "context "+s.Context)
	}
	if s.KubernetesVersion != "" {
		parts = append(parts, strings.TrimSpace(s.Distribution+" "+s.KubernetesVersion))
	}
	if s.EtcdVersion != "" {
		parts = append(parts, "etcd "+s.EtcdVersion)
	}
	if s.Member != "" {
		parts = append(parts, "member "+s.Member)
	}
	return escape(strings.Join(parts, ", "))
}
