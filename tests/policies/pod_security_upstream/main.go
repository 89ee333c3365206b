// Command upstream says what k8s.io/pod-security-admission finds in pods.
//
// Input: one JSON document {"metadata", "spec", "levels", "versions"} after the other. Output, per document, one
// line of JSON: for each level, for each version, the list of [reason, detail] of the checks that refuse the pod.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"log"
	"os"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

type question struct {
	Metadata metav1.ObjectMeta `json:"metadata"`
	Spec     corev1.PodSpec    `json:"spec"`
	Levels   []string          `json:"levels"`
	Versions []string          `json:"versions"`
}

type refusal [2]string

func main() {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		log.Fatal(err)
	}
	input := json.NewDecoder(bufio.NewReaderSize(os.Stdin, 1<<20))
	output := json.NewEncoder(os.Stdout)
	for {
		var asked question
		if err := input.Decode(&asked); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			log.Fatal(err)
		}
		answer := [][][]refusal{}
		for _, level := range asked.Levels {
			answers := [][]refusal{}
			for _, version := range asked.Versions {
				answers = append(answers, refusals(evaluator, asked, level, version))
			}
			answer = append(answer, answers)
		}
		if err := output.Encode(answer); err != nil {
			log.Fatal(err)
		}
	}
}

func refusals(evaluator policy.Evaluator, asked question, level, version string) []refusal {
	parsedLevel, err := api.ParseLevel(level)
	if err != nil {
		log.Fatal(err)
	}
	parsedVersion, err := api.ParseVersion(version)
	if err != nil {
		log.Fatal(err)
	}
	found := []refusal{}
	scope := api.LevelVersion{Level: parsedLevel, Version: parsedVersion}
	for _, result := range evaluator.EvaluatePod(scope, &asked.Metadata, &asked.Spec) {
		if !result.Allowed {
			found = append(found, refusal{result.ForbiddenReason, result.ForbiddenDetail})
		}
	}
	return found
}
