package printer

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// EtcdBackup prints the result of backup-etcd.
func (o Options) EtcdBackup(w io.Writer, b *report.EtcdBackup) error {
	if !o.human() {
		return o.object(w, b)
	}
	fmt.Fprintf(w, "%s: %s\n", escape(strings.TrimSuffix(b.Destination, "/")+"/"+b.Name), o.verdict(b.Proof))
	fmt.Fprintln(w, sourceOf(&b.Source))
	fmt.Fprintf(w, "revision %d, %d keys, %s in %.1f s (%s/s)%s\n\n", b.Snapshot.Revision, b.Snapshot.Keys,
		size(b.Snapshot.Size), b.Transfer.Seconds, size(int64(float64(b.Transfer.Bytes)/max(b.Transfer.Seconds, 0.001))), stored(b))
	if err := o.proof(w, b.Proof); err != nil {
		return err
	}
	if err := o.contents(w, b.Contents); err != nil {
		return err
	}
	if len(b.Warnings) > 0 {
		fmt.Fprintln(w)
	}
	for _, warning := range b.Warnings {
		fmt.Fprintf(w, "%s: %s\n", o.paint(yellow, "warning"), escape(warning))
	}
	if len(b.Pruned) > 0 {
		fmt.Fprintf(w, "\nremoved %d older: %s\n", len(b.Pruned), escape(strings.Join(b.Pruned, ", ")))
	}
	return nil
}

// stored says how it lies at its destination, where that is not as it was.
func stored(b *report.EtcdBackup) string {
	var how []string
	if b.Stored.Compression != "" {
		how = append(how, "compressed")
	}
	if b.Stored.Encryption != "" {
		how = append(how, "encrypted")
	}
	if len(how) == 0 {
		return ""
	}
	return fmt.Sprintf(", kept %s as %s", strings.Join(how, " and "), size(b.Stored.Size))
}

// size is bytes as people write them.
func size(bytes int64) string {
	const unit = 1024
	value, exponent := float64(bytes), 0
	for value >= unit && exponent < 5 {
		value /= unit
		exponent++
	}
	if exponent == 0 {
		return fmt.Sprintf("%d B", bytes)
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGTP"[exponent-1])
}

// EtcdBackups prints what lies at a destination.
func (o Options) EtcdBackups(w io.Writer, l *report.EtcdBackups) error {
	switch {
	case o.Format == "name":
		for _, item := range l.Items {
			if _, err := fmt.Fprintln(w, escape(item.Name)); err != nil {
				return err
			}
		}
		return nil
	case !o.human():
		return o.object(w, l)
	case len(l.Items) == 0:
		_, err := fmt.Fprintf(w, "no backup at %s\n", escape(l.Destination))
		return err
	}
	header := []string{"NAME", "TAKEN", "PROOF", "SIZE", "OBJECTS", "KUBERNETES"}
	if o.Format == "wide" {
		header = append(header, "CONTEXT", "CLUSTER", "REVISION")
	}
	fates := l.Items[0].Fate != ""
	if fates {
		header = append(header, "FATE")
	}
	var rows [][]string
	for _, item := range l.Items {
		row := []string{
			escape(item.Name), item.Time.UTC().Format(time.DateTime), o.howProven(item), size(item.Size),
			orDash(item.Objects), escape(cmp.Or(item.Version, "-")),
		}
		if o.Format == "wide" {
			row = append(row, escape(cmp.Or(item.Context, "-")), escape(cmp.Or(item.ClusterUID, "-")), orDash(int(item.Revision)))
		}
		if fates {
			fate := item.Fate + ", " + item.Why
			if item.Fate == "remove" {
				fate = o.paint(red, item.Fate) + ", " + item.Why
			}
			row = append(row, fate)
		}
		rows = append(rows, row)
	}
	if o.NoHeaders {
		header = nil
	}
	return o.table(w, header, rows)
}

func orDash(n int) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

// howProven is the verdict on a backup, and what is wrong with it now.
func (o Options) howProven(item report.EtcdBackupItem) string {
	switch {
	case item.Problem != "":
		return o.paint(red, escape(item.Problem))
	case item.Verdict == report.Proven && item.Depth == "restore":
		return o.paint(green, "restored")
	case item.Verdict == report.Proven:
		return o.paint(yellow, item.Depth+" only")
	default:
		return o.paint(red, escape(string(item.Verdict)))
	}
}

// RestorePlan prints the steps as a script that its reader walks through.
func (o Options) RestorePlan(w io.Writer, p *report.RestorePlan) error {
	if !o.human() {
		return o.object(w, p)
	}
	fmt.Fprintf(w, "Restore of %s\n", escape(p.File))
	if source := sourceOf(&p.Source); source != "" {
		fmt.Fprintln(w, source)
	}
	for _, warning := range p.Warnings {
		fmt.Fprintf(w, "%s: %s\n", o.paint(bold+red, "warning"), escape(warning))
	}
	fmt.Fprintf(w, "\n%s\n", o.paint(bold, "Needed, and not in the snapshot"))
	for _, l := range p.Lacks {
		fmt.Fprintf(w, "  - %s: %s\n", escape(l.What), escape(l.Why))
	}
	for i, step := range p.Steps {
		fmt.Fprintf(w, "\n%s\n", o.paint(bold, fmt.Sprintf("%d. %s (%s)", i+1, escape(step.Title), escape(step.Where))))
		for _, command := range step.Commands {
			for line := range strings.Lines(command) {
				fmt.Fprintf(w, "   %s%s\n", indentOf(line), escape(line))
			}
		}
		if step.Note != "" {
			fmt.Fprintf(w, "   # %s\n", escape(step.Note))
		}
	}
	return nil
}

// indentOf keeps the indent of a continued line, which escape would fold.
func indentOf(line string) string { return line[:len(line)-len(strings.TrimLeft(line, " "))] }
