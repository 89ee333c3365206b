// Command cyclonus says what the matcher of github.com/mattfenwick/cyclonus makes of NetworkPolicies.
//
// Input: one JSON document {"policies": [...], "questions": [...]} after the other. Output, per document, one line of
// JSON: for each question whether the source may send, and whether the target may receive.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"log"
	"os"

	"github.com/mattfenwick/cyclonus/pkg/matcher"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// peer is a pod, or, without labels, an address outside the cluster.
type peer struct {
	Namespace       string            `json:"namespace"`
	NamespaceLabels map[string]string `json:"namespaceLabels"`
	Labels          map[string]string `json:"labels"`
	Address         string            `json:"address"`
}

func (p peer) traffic() *matcher.TrafficPeer {
	result := &matcher.TrafficPeer{IP: p.Address}
	if p.Labels != nil {
		result.Internal = &matcher.InternalPeer{
			PodLabels: p.Labels, NamespaceLabels: p.NamespaceLabels, Namespace: p.Namespace,
		}
	}
	return result
}

type document struct {
	Policies  []*networkingv1.NetworkPolicy `json:"policies"`
	Questions []struct {
		Source   peer            `json:"source"`
		Target   peer            `json:"target"`
		Port     int             `json:"port"`
		Protocol corev1.Protocol `json:"protocol"`
	} `json:"questions"`
}

func main() {
	input := json.NewDecoder(bufio.NewReaderSize(os.Stdin, 1<<20))
	output := json.NewEncoder(os.Stdout)
	for {
		var asked document
		if err := input.Decode(&asked); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			log.Fatal(err)
		}
		policy := matcher.BuildNetworkPolicies(false, asked.Policies)
		answers := [][2]bool{}
		for _, question := range asked.Questions {
			result := policy.IsTrafficAllowed(&matcher.Traffic{
				Source:       question.Source.traffic(),
				Destination:  question.Target.traffic(),
				ResolvedPort: question.Port,
				Protocol:     question.Protocol,
			})
			answers = append(answers, [2]bool{result.Egress.IsAllowed(), result.Ingress.IsAllowed()})
		}
		if err := output.Encode(answers); err != nil {
			log.Fatal(err)
		}
	}
}
