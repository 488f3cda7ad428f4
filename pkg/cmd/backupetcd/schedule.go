package backupetcd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/client-go/kubernetes/scheme"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-prod/kubectl-prod/pkg/cmd/connection"
	"github.com/kubectl-prod/kubectl-prod/pkg/etcd/keep"
	"github.com/kubectl-prod/kubectl-prod/pkg/etcd/schedule"
)

// imageRepository is where releases put this plugin's image.
const imageRepository = "ghcr.io/kubectl-prod/kubectl-prod"

// scheduleOptions are what `backup-etcd schedule` was asked.
type scheduleOptions struct {
	genericiooptions.IOStreams
	Connection *connection.Flags
	schedule.Schedule

	To         string
	Compress   bool
	EncryptTo  []string
	Rule       ruleFlags
	Apply, Yes bool
}

func newScheduleCommand(flags *connection.Flags, streams genericiooptions.IOStreams) *cobra.Command {
	o := &scheduleOptions{IOStreams: streams, Connection: flags}
	cmd := &cobra.Command{
		Use:   "schedule --cron SCHEDULE --to URL",
		Short: "Make backups a CronJob of the cluster: printed, or applied",
		Long: `Make backups a CronJob of the cluster: printed, or applied with --apply.

The CronJob runs this plugin's own image, with a ServiceAccount that may find
etcd, run the helper pod and leave the record that doctor reads. The right to
make pods beside etcd is a strong one: keep the namespace as closed as the
control plane. Credentials of the store come from a Secret, as the environment
variables that the provider's tools know (AWS_ACCESS_KEY_ID and so on).`,
		Example: `  # Look at it first
  kubectl prod backup-etcd schedule --cron '17 2 * * *' --to s3://backups/prod --secret backup-store --keep 14

  kubectl prod backup-etcd schedule --cron @daily --to gs://backups/prod --encrypt-to age1… --apply`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.complete(); err != nil {
				return err
			}
			return o.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Cron, "cron", "", "When: five fields, or @daily")
	f.StringVar(&o.TimeZone, "time-zone", "", "Time zone of --cron (the controller manager's)")
	f.StringVar(&o.To, "to", "", "Destination: a URL (a directory would be the pod's own)")
	f.StringVar(&o.Name, "name", "kubectl-prod-backup-etcd", "Name of the CronJob and what belongs to it")
	f.StringVar(&o.Secret, "secret", "", "Secret in the same namespace with the store's credentials as environment variables")
	f.StringVar(&o.Image, "image", "", "Image of this plugin ("+imageRepository+" of this version)")
	f.StringVar(&o.Scratch, "scratch-size", "8Gi", "Room for the snapshot and its restore drill: at least three times etcd's database")
	f.BoolVar(&o.Compress, "compress", true, "Compress with zstd")
	f.StringSliceVar(&o.EncryptTo, "encrypt-to", nil, "Encrypt with age to these recipients")
	o.Rule.add(cmd)
	f.BoolVar(&o.Apply, "apply", false, "Apply it to the cluster, after asking")
	f.BoolVarP(&o.Yes, "yes", "y", false, "With --apply, do not ask")
	return cmd
}

func (o *scheduleOptions) complete() error {
	switch {
	case o.Cron == "":
		return errors.New("schedule needs --cron, such as '17 2 * * *'")
	case !strings.Contains(o.To, "://") || strings.HasPrefix(o.To, "file://"):
		return errors.New("schedule needs --to with the URL of an object store: a directory would be the pod's own and go with it")
	case strings.Contains(keep.Redact(o.To), "@") || keep.HasUser(o.To):
		return fmt.Errorf("%s holds credentials: put them into a Secret and name it with --secret", keep.Redact(o.To))
	}
	if _, err := keep.ParseRecipients(o.EncryptTo); err != nil {
		return err
	}
	o.Namespace = *o.Connection.Namespace
	if o.Namespace == "" {
		o.Namespace = metav1.NamespaceSystem
	}
	if o.Image == "" {
		o.Image = imageRepository + ":" + strings.Trim(o.Connection.Version, "()")
		if !strings.HasPrefix(o.Connection.Version, "v") {
			o.Image = imageRepository + ":latest"
		}
	}
	o.Args = []string{"--to=" + o.To}
	if o.Compress {
		o.Args = append(o.Args, "--compress")
	}
	for _, recipient := range o.EncryptTo {
		o.Args = append(o.Args, "--encrypt-to="+recipient)
	}
	if o.Rule.Keep > 0 {
		o.Args = append(o.Args, fmt.Sprintf("--keep=%d", o.Rule.Keep))
	}
	if o.Rule.KeepWithin > 0 {
		o.Args = append(o.Args, "--keep-within="+o.Rule.KeepWithin.String())
	}
	return o.Validate()
}

func (o *scheduleOptions) run(ctx context.Context) error {
	var manifests bytes.Buffer
	yaml := printers.NewTypeSetter(scheme.Scheme).ToPrinter(&printers.YAMLPrinter{})
	for _, object := range o.Objects() {
		if err := yaml.PrintObj(object, &manifests); err != nil {
			return err
		}
	}
	if !o.Apply {
		_, err := o.Out.Write(manifests.Bytes())
		return err
	}
	if !o.Yes {
		if err := confirm(o.IOStreams, fmt.Sprintf("Apply CronJob %s/%s with its ServiceAccount and roles to context %s?", o.Namespace, o.Name, o.Connection.ContextName())); err != nil {
			return err
		}
	}
	return o.apply(ctx, &manifests)
}

// apply is a server-side apply of each object.
func (o *scheduleOptions) apply(_ context.Context, manifests io.Reader) error {
	return resource.NewBuilder(o.Connection).Unstructured().ContinueOnError().Stream(manifests, "schedule").Flatten().Do().Visit(func(info *resource.Info, err error) error {
		if err != nil {
			return err
		}
		var data bytes.Buffer
		if err := (&printers.JSONPrinter{}).PrintObj(info.Object, &data); err != nil {
			return err
		}
		_, err = resource.NewHelper(info.Client, info.Mapping).WithFieldManager("kubectl-prod").Patch(info.Namespace, info.Name, types.ApplyPatchType, data.Bytes(), nil)
		if err != nil {
			return fmt.Errorf("applying %s: %w", info.ObjectName(), err)
		}
		fmt.Fprintf(o.Out, "%s applied\n", info.ObjectName())
		return nil
	})
}
