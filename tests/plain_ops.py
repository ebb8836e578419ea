"""The TensorFlow ops that an exported graph may hold: those that any runtime has."""

import tensorflow as tf

PLAIN_OPS = {
    # functions and control flow
    "Const", "BatchMatMulV2", "DenseBincount", "Identity", "IdentityN", "If", "NoOp",
    "PartitionedCall", "Placeholder",
    "StatefulPartitionedCall", "StatelessIf", "StatelessWhile", "StopGradient", "While",
    # random numbers from a seed
    "StatelessRandomUniformV2", "StatelessRandomGetKeyCounter",
    # arithmetic
    "ArgMax", "Log", "LogSoftmax", "Softmax", "SparseSoftmaxCrossEntropyWithLogits", "TopKV2",
    "Add", "AddV2", "BiasAdd", "Cast", "Cumsum", "Equal", "Greater", "GreaterEqual", "Less",
    "LessEqual", "LogicalAnd", "LogicalNot", "LogicalOr", "MatMul", "Max", "Maximum", "Min",
    "Minimum", "Mul", "Neg", "NotEqual", "Prod", "RealDiv", "Select", "SelectV2", "Sigmoid",
    "Sub", "Sum", "Any", "All", "Tanh", "FloorDiv", "BroadcastTo",
    # shapes
    "BroadcastArgs", "ConcatV2", "EnsureShape", "ExpandDims", "Fill", "GatherV2", "GatherNd",
    "OnesLike", "Pack", "PadV2", "Pad", "Range", "Reshape", "ReverseV2", "Shape", "Size",
    "Slice", "Split", "Squeeze", "StridedSlice", "Tile", "Transpose", "Unpack", "Where",
    "ZerosLike",
    # lists of tensors
    "RaggedTensorToTensor", "RaggedRange", "TensorListFromTensor", "TensorListGetItem",
    "TensorListReserve", "TensorListSetItem", "TensorListStack",
    "TensorListConcatV2",
    # text, tables, variables, files
    "HashTableV2", "LookupTableFindV2", "ReadVariableOp", "RegexReplace", "ResourceGather",
    "StaticRegexReplace", "StringLower", "StringSplitV2", "VarHandleOp", "StringJoin",
    "StaticRegexFullMatch", "UnicodeDecode", "UnicodeEncode", "SaveV2", "RestoreV2",
    "AssignVariableOp", "MergeV2Checkpoints",
    "ShardedFilename", "InitializeTableFromTextFileV2", "LookupTableImportV2", "Assert",
}  # fmt: skip


def assert_plain(exported) -> None:
    """Fails where a signature of an exported model holds any other op."""
    for signature in tf.saved_model.load(str(exported)).signatures.values():
        assert_plain_graph(signature)


def assert_plain_graph(concrete) -> None:
    """Fails for any op that is not in the list, and for whatever only XLA understands."""
    graph = concrete.graph.as_graph_def()
    nodes = list(graph.node)
    for function in graph.library.function:
        assert not function.attr["_XlaMustCompile"].b, function.signature.name
        nodes.extend(function.node_def)
    assert {node.op for node in nodes} - PLAIN_OPS == set()
    for node in nodes:
        assert not any("xla" in attribute.lower() for attribute in node.attr), node.name
