package helm_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"
)

// known are the types of a cluster that the chart may use.
var known = func() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{appsv1.AddToScheme, autoscalingv2.AddToScheme, batchv1.AddToScheme,
		corev1.AddToScheme, networkingv1.AddToScheme, policyv1.AddToScheme, monitoringv1.AddToScheme} {
		utilruntime.Must(add(s))
	}
	return s
}()

// decode decodes an object into its type. Unknown and repeated fields are errors.
func decode(text string) (runtime.Object, error) {
	var kind metav1.TypeMeta
	if err := yaml.Unmarshal([]byte(text), &kind); err != nil {
		return nil, err
	}
	object, err := known.New(schema.FromAPIVersionAndKind(kind.APIVersion, kind.Kind))
	if err != nil {
		return nil, err
	}
	return object, yaml.UnmarshalStrict([]byte(text), object)
}

// objects splits a manifest.
func objects(manifest string) (texts []string) {
	for _, text := range strings.Split("\n"+manifest, "\n---") {
		if strings.TrimSpace(text) != "" {
			texts = append(texts, text)
		}
	}
	return texts
}

// checkObjects checks every object of a manifest and notes its kind.
func checkObjects(manifest string, kinds map[string]bool) error {
	for _, text := range objects(manifest) {
		object, err := decode(text)
		if err != nil {
			return err
		}
		kinds[object.GetObjectKind().GroupVersionKind().Kind] = true
		meta := object.(metav1.Object)
		if faults := validation.IsDNS1123Label(meta.GetName()); len(faults) > 0 {
			return fmt.Errorf("name %q: %s", meta.GetName(), faults[0])
		}
		for name, value := range meta.GetLabels() {
			if faults := validation.IsValidLabelValue(value); len(faults) > 0 {
				return fmt.Errorf("label %s: %s", name, faults[0])
			}
		}
		if template := podTemplate(object); template != nil {
			if err := checkPod(template); err != nil {
				return err
			}
		}
		if d, ok := object.(*appsv1.Deployment); ok {
			for name, value := range d.Spec.Selector.MatchLabels {
				if d.Spec.Template.Labels[name] != value {
					return fmt.Errorf("the selector %s=%s misses the pods", name, value)
				}
			}
		}
	}
	return nil
}

// podTemplate returns the pods that an object makes; nil: none.
func podTemplate(object runtime.Object) *corev1.PodTemplateSpec {
	switch o := object.(type) {
	case *appsv1.Deployment:
		return &o.Spec.Template
	case *batchv1.Job:
		return &o.Spec.Template
	}
	return nil
}

// checkPod holds a pod against the restricted profile, and against what the profile
// leaves open.
func checkPod(template *corev1.PodTemplateSpec) error {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return err
	}
	level := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	if result := policy.AggregateCheckResults(evaluator.EvaluatePod(level, &template.ObjectMeta, &template.Spec)); !result.Allowed {
		return errors.New(result.ForbiddenDetail())
	}
	spec := template.Spec
	if spec.AutomountServiceAccountToken == nil || *spec.AutomountServiceAccountToken {
		return errors.New("the pod gets a token for the cluster")
	}
	for _, c := range spec.Containers {
		if c.SecurityContext.ReadOnlyRootFilesystem == nil || !*c.SecurityContext.ReadOnlyRootFilesystem {
			return fmt.Errorf("%s may write to its root", c.Name)
		}
		if c.Resources.Requests.Cpu().IsZero() || c.Resources.Limits.Memory().IsZero() {
			return fmt.Errorf("%s has no resources", c.Name)
		}
		for _, e := range c.Env {
			if e.ValueFrom != nil {
				return fmt.Errorf("%s is a secret in the environment", e.Name)
			}
		}
	}
	return nil
}

// TestChecks: the checks of this file find what they are for.
func TestChecks(t *testing.T) {
	t.Parallel()
	const pod = `apiVersion: batch/v1
kind: Job
metadata: {name: x}
spec:
  template:
    spec:
      automountServiceAccountToken: false
      securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: x
          image: x
          resources: {requests: {cpu: 1}, limits: {memory: 1Gi}}
          securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
`
	if err := checkObjects(pod, map[string]bool{}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range [][2]string{
		{"runAsNonRoot: true, ", ""}, {"seccompProfile: {type: RuntimeDefault}", ""}, {"allowPrivilegeEscalation: false, ", ""},
		{"drop: [ALL]", "drop: [NET_RAW]"}, {"readOnlyRootFilesystem: true, ", ""}, {"automountServiceAccountToken: false", "hostNetwork: true"},
		{"limits: {memory: 1Gi}", ""}, {"image: x", "image: x\n          imagePullPolice: Always"}, {"image: x", "image: x\n          image: y"},
		{"kind: Job", "kind: Jobs"}, {"name: x}", "name: X}"},
	} {
		if err := checkObjects(strings.Replace(pod, tt[0], tt[1], 1), map[string]bool{}); err == nil {
			t.Errorf("%q instead of %q is accepted", tt[1], tt[0])
		}
	}
}
