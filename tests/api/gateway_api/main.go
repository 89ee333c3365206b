// Package main pins the Gateway API, whose module has its CustomResourceDefinitions.
package main

import _ "sigs.k8s.io/gateway-api/pkg/consts"

func main() {}
