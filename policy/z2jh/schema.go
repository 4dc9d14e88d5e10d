package z2jh

// rule is what the chart's values.schema.json says of one value: Helm refuses an install that breaks it.
type rule struct {
	// types that it may have: s text, b true or false, i whole number, n number, m map, l list, 0 null. Empty: any.
	types string
	// keys of a map; nil with open false: any key, each as each says.
	keys map[string]rule
	// open: other keys than those named are allowed.
	open bool
	// each value of a map without named keys, or each item of a list.
	each *rule
	// oneOf are the texts that it may be.
	oneOf []string
	// needs are keys that must be there. Only what has no default, or one that we know, can say so: of most of the chart we
	// don't know the defaults, and they supply what a file leaves out.
	needs []string
}

func closed(keys map[string]rule, needs ...string) rule {
	return rule{types: "m", keys: keys, needs: needs}
}

var (
	text          = rule{types: "s"}
	textOrNull    = rule{types: "s0"}
	yesNo         = rule{types: "b"}
	yesNoOrNull   = rule{types: "b0"}
	whole         = rule{types: "i"}
	wholeOrNull   = rule{types: "i0"}
	numberOrNull  = rule{types: "n0"}
	list          = rule{types: "l"}
	openMap       = rule{types: "m", open: true}
	anything      = rule{}
	textMap       = rule{types: "m", each: &text}
	mapOrList     = rule{types: "ml", open: true}
	pullPolicy    = rule{types: "s0", oneOf: []string{"", "IfNotPresent", "Always", "Never"}}
	nodePurpose   = rule{types: "s", oneOf: []string{"ignore", "prefer", "require"}}
	image         = closed(map[string]rule{"name": text, "tag": text, "pullPolicy": pullPolicy, "pullSecrets": list})
	userImage     = closed(image.keys, "name", "tag")
	plainImage    = closed(map[string]rule{"name": text, "tag": text, "pullPolicy": pullPolicy}, "name", "tag")
	budget        = closed(map[string]rule{"enabled": yesNo, "maxUnavailable": wholeOrNull, "minAvailable": wholeOrNull})
	account       = closed(map[string]rule{"create": yesNo, "name": textOrNull, "annotations": textMap})
	strategy      = closed(map[string]rule{"rollingUpdate": textOrNull, "type": textOrNull})
	terms         = closed(map[string]rule{"required": list, "preferred": list})
	extraFile     = closed(map[string]rule{"mountPath": text, "data": openMap, "stringData": text, "binaryData": text, "mode": {types: "n"}}, "mountPath")
	extraFiles    = rule{types: "m", each: &extraFile}
	accessModes   = rule{types: "l", each: &textOrNull}
	networkPolicy = closed(map[string]rule{
		"enabled": yesNo, "ingress": list, "egress": list, "allowedIngressPorts": list,
		"interNamespaceAccessLabels": {types: "s", oneOf: []string{"accept", "ignore"}},
		"egressAllowRules": closed(map[string]rule{
			"cloudMetadataServer": yesNo, "dnsPortsCloudMetadataServer": yesNo, "dnsPortsKubeSystemNamespace": yesNo,
			"dnsPortsPrivateIPs": yesNo, "nonPrivateIPs": yesNo, "privateIPs": yesNo,
		}),
	})
)

// schema is the whole chart's, main of 2026-07 (after 4.4.0).
var schema = closed(map[string]rule{
	"enabled": yesNoOrNull, "fullnameOverride": textOrNull, "nameOverride": textOrNull, "custom": openMap, "global": openMap,
	// What stands in imagePullSecret beside its own keys is refused by Helm only with create: true; that is reported.
	"imagePullSecret":  {types: "m", open: true, keys: map[string]rule{"create": yesNo, "automaticReferenceInjection": yesNo, "registry": textOrNull, "username": textOrNull, "password": textOrNull, "email": textOrNull}},
	"imagePullSecrets": list,
	"hub":              hubSchema,
	"proxy":            proxySchema,
	"singleuser":       singleuserSchema,
	"scheduling":       schedulingSchema,
	"prePuller":        prePullerSchema,
	"ingress": closed(map[string]rule{
		"enabled": yesNo, "annotations": textMap, "ingressClassName": textOrNull, "hosts": list, "pathSuffix": textOrNull,
		"pathType": {types: "s", oneOf: []string{"Prefix", "Exact", "ImplementationSpecific"}}, "tls": list, "extraPaths": list,
	}),
	"httpRoute": closed(map[string]rule{
		"enabled": yesNo, "annotations": textMap, "hostnames": list, "parentRefs": list,
		"gateway": closed(map[string]rule{"name": text, "namespace": text, "sectionName": text}),
	}),
	"cull": closed(map[string]rule{
		"enabled": yesNo, "users": yesNoOrNull, "adminUsers": yesNoOrNull, "removeNamedServers": yesNoOrNull,
		"timeout": wholeOrNull, "every": wholeOrNull, "concurrency": wholeOrNull, "maxAge": wholeOrNull,
	}),
	"debug": closed(map[string]rule{"enabled": yesNo}),
	"rbac":  closed(map[string]rule{"enabled": yesNo, "create": yesNo}),
})

var singleuserSchema = closed(map[string]rule{
	"networkPolicy": networkPolicy, "podNameTemplate": textOrNull,
	"cpu":    closed(map[string]rule{"limit": numberOrNull, "guarantee": numberOrNull}),
	"memory": closed(map[string]rule{"limit": {types: "ns0"}, "guarantee": {types: "ns0"}}),
	"image":  userImage, "initContainers": list, "profileList": list, "extraFiles": extraFiles, "extraEnv": mapOrList,
	"nodeSelector": openMap, "extraTolerations": list,
	"extraNodeAffinity": terms, "extraPodAffinity": terms, "extraPodAntiAffinity": terms,
	"cloudMetadata": closed(map[string]rule{"blockWithIptables": yesNo, "ip": text}, "blockWithIptables", "ip"),
	"cmd":           {types: "ls0"}, "defaultUrl": textOrNull, "events": yesNoOrNull,
	"extraAnnotations": textMap, "extraContainers": list, "extraLabels": textMap, "extraPodConfig": openMap,
	"extraResource":      closed(map[string]rule{"guarantees": openMap, "limits": openMap}),
	"fsGid":              wholeOrNull,
	"lifecycleHooks":     closed(map[string]rule{"postStart": openMap, "preStop": openMap}),
	"networkTools":       closed(map[string]rule{"image": userImage, "resources": openMap}),
	"serviceAccountName": textOrNull, "startTimeout": wholeOrNull,
	"storage": closed(map[string]rule{
		"capacity": textOrNull, "extraLabels": textMap, "extraVolumeMounts": {types: "ml0", open: true}, "extraVolumes": {types: "ml0", open: true},
		"homeMountPath": text, "type": {types: "s", oneOf: []string{"dynamic", "static", "none"}},
		"static": closed(map[string]rule{"pvcName": textOrNull, "subPath": textOrNull}),
		"dynamic": closed(map[string]rule{
			"pvcNameTemplate": textOrNull, "storageAccessModes": accessModes, "storageClass": textOrNull, "subPath": textOrNull, "volumeNameTemplate": textOrNull,
		}),
	}, "type", "homeMountPath"),
	"allowPrivilegeEscalation": yesNoOrNull, "uid": wholeOrNull,
})

var schedulingSchema = closed(map[string]rule{
	"userScheduler": closed(map[string]rule{
		"enabled": yesNo, "revisionHistoryLimit": wholeOrNull, "replicas": whole, "image": image, "pdb": budget, "nodeSelector": openMap,
		"tolerations": list, "labels": textMap, "annotations": textMap, "containerSecurityContext": openMap, "logLevel": whole,
		"plugins": openMap, "pluginConfig": list, "resources": openMap, "serviceAccount": account, "extraPodSpec": openMap,
	}, "enabled"),
	"podPriority": closed(map[string]rule{
		"enabled": yesNo, "globalDefault": yesNo, "defaultPriority": whole, "imagePullerPriority": whole, "userPlaceholderPriority": whole,
	}),
	"userPlaceholder": closed(map[string]rule{
		"enabled": yesNo, "image": image, "revisionHistoryLimit": wholeOrNull, "replicas": whole, "labels": textMap, "annotations": textMap,
		"resources": openMap, "containerSecurityContext": openMap, "extraPodSpec": openMap,
	}),
	"corePods": closed(map[string]rule{"tolerations": list, "nodeAffinity": closed(map[string]rule{"matchNodePurpose": nodePurpose})}),
	"userPods": closed(map[string]rule{"tolerations": list, "nodeAffinity": closed(map[string]rule{"matchNodePurpose": nodePurpose})}),
})

var prePullerSchema = closed(map[string]rule{
	"revisionHistoryLimit": wholeOrNull, "labels": textMap, "annotations": textMap, "resources": openMap, "extraTolerations": list,
	"containerSecurityContext": openMap, "pullProfileListImages": yesNo, "extraImages": {types: "m", each: &plainImage},
	"hook": closed(map[string]rule{
		"enabled": yesNo, "pullOnlyOnChanges": yesNo, "podSchedulingWaitDuration": whole, "nodeSelector": openMap, "tolerations": list,
		"containerSecurityContext": openMap, "image": image, "resources": openMap, "serviceAccount": account,
		"serviceAccountImagePuller": account, "daemonsetAnnotations": textMap,
	}),
	"continuous": closed(map[string]rule{"enabled": yesNo, "serviceAccount": account, "daemonsetAnnotations": textMap}),
	"pause":      closed(map[string]rule{"containerSecurityContext": openMap, "image": image}),
})

var hubSchema = closed(map[string]rule{
	"revisionHistoryLimit": wholeOrNull,
	"config":               {types: "m", each: &openMap},
	"extraFiles":           extraFiles, "baseUrl": text, "command": list, "args": list, "cookieSecret": textOrNull, "image": image,
	"networkPolicy": networkPolicy,
	"db": closed(map[string]rule{
		"type":    {types: "s", oneOf: []string{"sqlite-pvc", "sqlite-memory", "mysql", "postgres", "other"}},
		"pvc":     closed(map[string]rule{"annotations": textMap, "selector": openMap, "storage": text, "accessModes": accessModes, "storageClassName": textOrNull, "subPath": textOrNull}),
		"upgrade": yesNoOrNull, "url": textOrNull, "password": textOrNull,
	}),
	"labels": textMap, "initContainers": list, "extraEnv": mapOrList, "extraConfig": openMap, "fsGid": wholeOrNull,
	"service": closed(map[string]rule{
		"type":        {types: "s", oneOf: []string{"ClusterIP", "NodePort", "LoadBalancer", "ExternalName"}},
		"ports":       closed(map[string]rule{"appProtocol": textOrNull, "nodePort": wholeOrNull}),
		"annotations": textMap, "extraPorts": list, "loadBalancerIP": textOrNull, "ipFamilyPolicy": text, "ipFamilies": list,
	}),
	"pdb": budget, "existingSecret": textOrNull, "nodeSelector": openMap, "tolerations": list, "activeServerLimit": wholeOrNull,
	"allowNamedServers": yesNoOrNull, "annotations": textMap, "authenticatePrometheus": yesNoOrNull, "concurrentSpawnLimit": wholeOrNull,
	"consecutiveFailureLimit": wholeOrNull, "podSecurityContext": anything, "containerSecurityContext": openMap, "deploymentStrategy": strategy,
	"extraContainers": list, "extraVolumeMounts": list, "extraVolumes": list, "livenessProbe": openMap, "readinessProbe": openMap,
	"namedServerLimitPerUser": wholeOrNull, "redirectToServer": yesNoOrNull, "resources": openMap,
	"lifecycle": closed(map[string]rule{"postStart": openMap, "preStop": openMap}),
	"services":  openMap, "loadRoles": openMap, "shutdownOnLogout": yesNoOrNull, "templatePaths": list, "templateVars": openMap,
	"serviceAccount": account, "extraPodSpec": openMap,
})

var proxySchema = closed(map[string]rule{
	"chp": closed(map[string]rule{
		"revisionHistoryLimit": wholeOrNull, "networkPolicy": networkPolicy, "command": list, "extraCommandLineFlags": list, "extraEnv": mapOrList,
		"pdb": budget, "nodeSelector": openMap, "tolerations": list, "containerSecurityContext": openMap, "image": image,
		"livenessProbe": openMap, "readinessProbe": openMap, "resources": openMap, "defaultTarget": textOrNull, "errorTarget": textOrNull, "extraPodSpec": openMap,
	}),
	"secretToken": textOrNull,
	"service": closed(map[string]rule{
		"type":   {types: "s", oneOf: []string{"ClusterIP", "NodePort", "LoadBalancer", "ExternalName"}},
		"labels": textMap, "annotations": textMap, "nodePorts": closed(map[string]rule{"http": wholeOrNull, "https": wholeOrNull}),
		"disableHttpPort": yesNo, "extraPorts": list, "externalIPs": list, "loadBalancerIP": textOrNull, "loadBalancerSourceRanges": list,
		"ipFamilyPolicy": text, "ipFamilies": list,
	}),
	"https": closed(map[string]rule{
		"enabled": yesNoOrNull, "type": {types: "s0", oneOf: []string{"", "letsencrypt", "manual", "offload", "secret"}},
		"letsencrypt": closed(map[string]rule{"contactEmail": textOrNull, "acmeServer": textOrNull}),
		"manual":      closed(map[string]rule{"key": textOrNull, "cert": textOrNull}),
		"secret":      closed(map[string]rule{"name": textOrNull, "key": textOrNull, "crt": textOrNull}),
		"hosts":       list,
	}),
	"traefik": closed(map[string]rule{
		"command": list, "args": list, "revisionHistoryLimit": wholeOrNull, "labels": textMap, "networkPolicy": networkPolicy, "extraInitContainers": list,
		"extraEnv": mapOrList, "pdb": budget, "nodeSelector": openMap, "tolerations": list, "containerSecurityContext": openMap,
		"extraDynamicConfig": openMap, "extraPorts": list, "extraStaticConfig": openMap, "extraVolumes": list, "extraVolumeMounts": list,
		"hsts":  closed(map[string]rule{"includeSubdomains": yesNo, "maxAge": whole, "preload": yesNo}),
		"image": image, "resources": openMap, "serviceAccount": account, "extraPodSpec": openMap,
	}),
	"labels": textMap, "annotations": textMap, "deploymentStrategy": strategy,
	"secretSync": closed(map[string]rule{"containerSecurityContext": openMap, "image": image, "resources": openMap}),
})
