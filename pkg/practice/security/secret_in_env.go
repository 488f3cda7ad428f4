package security

import (
	"fmt"
	"strings"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/practice"
	"github.com/kubectl-prod/kubectl-prod/pkg/report"
)

// SecretInEnv finds credentials that are written into a workload.
//
// Who may read Deployments, which nearly everybody may, reads the password; so
// do the repository, its forks and every backup. Rotating it takes a release.
// https://kubernetes.io/docs/concepts/configuration/secret/
func SecretInEnv() practice.Practice {
	return practice.Practice{
		ID:       "secret-in-env",
		Title:    "Credential written into a workload",
		Chapter:  practice.Security,
		Severity: report.Critical,
		Reason: "Who may read workloads, which nearly everybody may, reads a password that is written into one; so do the repository, its forks and every backup. " +
			"To change it takes a release.",
		Judged: "The literal values of environment variables, and of --flag=value arguments, of each container: by forms that give a credential away (private keys, tokens of known services, " +
			"URLs with a password), and by their name: any literal password; a token, secret or key where the value looks random (entropy). " +
			"References, paths, templates and names of objects are left out. Values are never printed, nor any part of them.",
		Fix: "move it into a Secret and refer to it with valueFrom.secretKeyRef, or mount it; and change it, since it has been read",
		Sources: []string{
			"https://kubernetes.io/docs/concepts/configuration/secret/",
			"https://kubernetes.io/docs/concepts/security/secrets-good-practices/",
		},
		Judges: cluster.WorkloadKinds(),
		Check: func(s *cluster.Snapshot) practice.Verdict {
			known := newCredentials()
			return practice.EachContainer(func(_ *cluster.Snapshot, c cluster.Container) []practice.Finding {
				var findings []practice.Finding
				for i, variable := range c.Env {
					if what := known.in(variable.Name, variable.Value); what != "" && variable.ValueFrom == nil {
						findings = append(findings, practice.On(c.Workload.Owner, fmt.Sprintf("%s.env[%d].value", c.Path, i),
							"container %q has %s written into its variable %s", c.Name, what, variable.Name))
					}
				}
				findings = append(findings, inArguments(known, c, "command", c.Command)...)
				return append(findings, inArguments(known, c, "args", c.Args)...)
			})(s)
		},
	}
}

// inArguments finds credentials among the arguments of a container; the whole
// script that one may be is judged by form alone.
func inArguments(known credentials, c cluster.Container, field string, arguments []string) []practice.Finding {
	var findings []practice.Finding
	for i, argument := range arguments {
		name, value, assigned := strings.Cut(strings.TrimLeft(argument, "-"), "=")
		what := known.byForm(argument)
		if what == "" && assigned && strings.HasPrefix(argument, "-") {
			what = known.byName(name, value)
		}
		if what != "" {
			findings = append(findings, practice.On(c.Workload.Owner, fmt.Sprintf("%s.%s[%d]", c.Path, field, i),
				"container %q has %s written into its arguments", c.Name, what))
		}
	}
	return findings
}
