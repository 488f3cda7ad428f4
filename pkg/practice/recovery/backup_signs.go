package recovery

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-prod/kubectl-prod/pkg/cluster"
	"github.com/kubectl-prod/kubectl-prod/pkg/etcd/record"
)

// backup is a sign that etcd was saved at a time.
type backup struct {
	at time.Time
	by string
}

// newestBackup is the latest of all signs.
func newestBackup(s *cluster.Snapshot) (newest backup, found bool) {
	for _, sign := range signs(s) {
		if !found || sign.at.After(newest.at) {
			newest, found = sign, true
		}
	}
	return newest, found
}

func signs(s *cluster.Snapshot) []backup {
	var all []backup
	for _, cm := range s.ConfigMaps {
		if cm.Namespace != record.Namespace || cm.Name != record.Name {
			continue
		}
		if at, err := time.Parse(time.RFC3339, cm.Annotations[record.LastBackup]); err == nil {
			all = append(all, backup{at, "kubectl prod backup-etcd"})
		}
	}
	for _, snapshot := range s.EtcdSnapshots {
		all = append(all, backup{snapshot.CreationTimestamp.Time, "ETCDSnapshotFile " + snapshot.Name})
	}
	for _, job := range s.CronJobs {
		if last := job.Status.LastSuccessfulTime; last != nil && savesEtcd(job) {
			all = append(all, backup{last.Time, cronJobName(job)})
		}
	}
	return all
}

// schedules names what should have left a sign, for the message.
func schedules(s *cluster.Snapshot) string {
	var named []string
	for _, job := range s.CronJobs {
		switch {
		case !savesEtcd(job):
		case job.Spec.Suspend != nil && *job.Spec.Suspend:
			named = append(named, cronJobName(job)+" is suspended")
		case job.Status.LastSuccessfulTime == nil:
			named = append(named, cronJobName(job)+" has never succeeded")
		}
	}
	for _, b := range s.OpenShiftBackups {
		named = append(named, "Backup "+b.Name+" is configured")
	}
	if len(named) == 0 {
		return ""
	}
	return "; " + strings.Join(named, ", ")
}

func cronJobName(job *batchv1.CronJob) string {
	return fmt.Sprintf("CronJob %s/%s", job.Namespace, job.Name)
}

// savesEtcd reports whether a CronJob takes snapshots of etcd: by what its
// containers run, by their image, or because an OpenShift Backup made it.
func savesEtcd(job *batchv1.CronJob) bool {
	if owner := metav1.GetControllerOfNoCopy(job); owner != nil && owner.Kind == "Backup" && strings.HasPrefix(owner.APIVersion, "config.openshift.io/") {
		return true
	}
	// Options may stand between the words, and the script on several lines.
	saves := regexp.MustCompile(`(?s)\betcdctl\b.*\bsnapshot\s+save\b`)
	image := regexp.MustCompile(`etcd.*(backup|snapshot)|(backup|snapshot).*etcd`)
	spec := job.Spec.JobTemplate.Spec.Template.Spec
	return slices.ContainsFunc(slices.Concat(spec.InitContainers, spec.Containers), func(c corev1.Container) bool {
		run := strings.Join(slices.Concat(c.Command, c.Args), " ")
		return saves.MatchString(run) || image.MatchString(imageName(c.Image))
	})
}

// imageName is an image's repository without registry, path, tag and digest.
func imageName(image string) string {
	image, _, _ = strings.Cut(image, "@")
	image, _, _ = strings.Cut(image[strings.LastIndex(image, "/")+1:], ":")
	return image
}
