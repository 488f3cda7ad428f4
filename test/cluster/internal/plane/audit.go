package plane

import (
	"fmt"
	"os"
)

// auditPolicy leaves out the cluster's own components. Of Secrets it keeps the
// answers too, which tell whether their bodies were sent.
const auditPolicy = "audit-policy.yaml"

// audit are the API server's flags for an audit log.
func (l layout) audit() []string {
	if !l.settings.Audit {
		return nil
	}
	return []string{"--audit-policy-file=" + l.dir.Config(auditPolicy), "--audit-log-path=" + l.dir.AuditLog(), "--audit-log-mode=blocking-strict"}
}

func (c *cluster) ensureAudit() error {
	if !c.settings.Audit {
		return nil
	}
	policy, err := files.ReadFile("files/" + auditPolicy)
	if err != nil {
		return fmt.Errorf("reading the audit policy: %w", err)
	}
	return os.WriteFile(c.dir.Config(auditPolicy), policy, 0o600)
}
