/* Asks an exported model about each line of standard input, with TensorFlow's C API.

   serve sentiment MODEL                            label and probability of each line
   serve chargen MODEL LENGTH TEMPERATURE SEED      each line and what follows it

   The names of inputs and outputs are those of these two models, as this command prints:
   saved_model_cli show --dir MODEL --tag_set serve --signature_def serving_default */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tensorflow/c/c_api.h>

static TF_Status *status;
static TF_Graph *graph;

static void check(void) {
  if (TF_GetCode(status) != TF_OK) {
    fprintf(stderr, "%s\n", TF_Message(status));
    exit(1);
  }
}

static TF_Output find(const char *name, int index) {
  TF_Output found = {TF_GraphOperationByName(graph, name), index};
  if (found.oper == NULL) {
    fprintf(stderr, "the model has no %s\n", name);
    exit(1);
  }
  return found;
}

static TF_Tensor *strings(char **lines, int64_t count) {
  TF_Tensor *tensor = TF_AllocateTensor(TF_STRING, &count, 1, count * sizeof(TF_TString));
  TF_TString *texts = TF_TensorData(tensor);
  for (int64_t i = 0; i < count; i++) {
    TF_StringInit(&texts[i]);
    TF_StringCopy(&texts[i], lines[i], strlen(lines[i]));
  }
  return tensor;
}

static TF_Tensor *scalar(TF_DataType type, const void *value) {
  TF_Tensor *tensor = TF_AllocateTensor(type, NULL, 0, 4);
  memcpy(TF_TensorData(tensor), value, 4);
  return tensor;
}

int main(int argc, char **argv) {
  int chargen = argc > 1 && !strcmp(argv[1], "chargen");
  int sentiment = argc > 1 && !strcmp(argv[1], "sentiment");
  if (argc != (chargen ? 6 : 3)) {
    fprintf(stderr, "usage: serve sentiment MODEL, or transduce MODEL, "
                    "or chargen MODEL LENGTH TEMPERATURE SEED\n");
    return 2;
  }
  status = TF_NewStatus();
  graph = TF_NewGraph();
  const char *tag = "serve";
  TF_Session *session = TF_LoadSessionFromSavedModel(
      TF_NewSessionOptions(), NULL, argv[2], &tag, 1, graph, NULL, status);
  check();

  char **lines = NULL, *line = NULL;
  size_t capacity = 0, count = 0;
  for (ssize_t length; (length = getline(&line, &capacity, stdin)) >= 0; line = NULL) {
    if (length && line[length - 1] == '\n') line[length - 1] = '\0';
    lines = realloc(lines, (count + 1) * sizeof(char *));
    lines[count++] = line;
  }

  TF_Output inputs[4] = {find("serving_default_text", 0)}, outputs[2];
  TF_Tensor *questions[4] = {strings(lines, count)}, *answers[2];
  if (chargen) {
    int32_t length = atoi(argv[3]), seed = atoi(argv[5]);
    float temperature = atof(argv[4]);
    inputs[1] = find("serving_default_length", 0), questions[1] = scalar(TF_INT32, &length);
    inputs[2] = find("serving_default_temperature", 0);
    questions[2] = scalar(TF_FLOAT, &temperature);
    inputs[3] = find("serving_default_seed", 0), questions[3] = scalar(TF_INT32, &seed);
    outputs[0] = find("StatefulPartitionedCall_2", 0);
  } else if (!sentiment) {
    outputs[0] = find("StatefulPartitionedCall_3", 0);
  } else {
    outputs[0] = find("StatefulPartitionedCall_1", 0);
    outputs[1] = find("StatefulPartitionedCall_1", 1);
  }
  TF_SessionRun(session, NULL, inputs, questions, chargen ? 4 : 1, outputs, answers,
                sentiment ? 2 : 1, NULL, 0, NULL, status);
  check();

  const TF_TString *texts = TF_TensorData(answers[0]);
  for (size_t i = 0; i < count; i++) {
    if (chargen) fputs(lines[i], stdout);
    fwrite(TF_StringGetDataPointer(&texts[i]), 1, TF_StringGetSize(&texts[i]), stdout);
    if (sentiment) printf("\t%.6f", ((const float *)TF_TensorData(answers[1]))[i]);
    putchar('\n');
  }
  return 0;
}
