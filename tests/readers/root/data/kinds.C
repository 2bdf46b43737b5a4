// How kinds.root and kinds_ntuple.root were made, with ROOT 6.40:
//   python -c 'import ROOT; ROOT.gInterpreter.ProcessLine("#include \"kinds.C\""); ROOT.kinds_tree("kinds.root");
//   ROOT.kinds_ntuple("kinds_ntuple.root")'
#include <array>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <variant>
#include <vector>

void kinds_tree(const char *path) {
  TFile file(path, "RECREATE", "", 101);
  TTree tree("events", "events");
  Char_t c; UChar_t uc; Short_t s; UShort_t us; Int_t i; UInt_t ui; Long64_t l; ULong64_t ul; Long_t g; ULong_t ug;
  Float_t f; Double_t d; Bool_t b; Float16_t f16; Double32_t d32, d32bits;
  tree.Branch("int8", &c, "int8/B"); tree.Branch("uint8", &uc, "uint8/b");
  tree.Branch("int16", &s, "int16/S"); tree.Branch("uint16", &us, "uint16/s");
  tree.Branch("int32", &i, "int32/I"); tree.Branch("uint32", &ui, "uint32/i");
  tree.Branch("int64", &l, "int64/L"); tree.Branch("uint64", &ul, "uint64/l");
  tree.Branch("long", &g, "long/G"); tree.Branch("ulong", &ug, "ulong/g");
  tree.Branch("float32", &f, "float32/F"); tree.Branch("float64", &d, "float64/D"); tree.Branch("bool", &b, "bool/O");
  tree.Branch("float16", &f16, "float16/f"); tree.Branch("double32", &d32, "double32/d");
  tree.Branch("double32_bits", &d32bits, "double32_bits/d[0,100,12]");
  Int_t fixed[3]; Double_t matrix[2][2]; Bool_t flags[2];
  tree.Branch("fixed", fixed, "fixed[3]/I"); tree.Branch("matrix", matrix, "matrix[2][2]/D"); tree.Branch("flags", flags, "flags[2]/O");
  Int_t n; Float_t jagged[8]; Short_t jagged16[8]; Float_t pairs[8][2];
  tree.Branch("n", &n, "n/I"); tree.Branch("jagged", jagged, "jagged[n]/F"); tree.Branch("jagged16", jagged16, "jagged16[n]/S");
  tree.Branch("pairs", pairs, "pairs[n][2]/F");
  struct { Int_t id; Float_t x; Float_t y; } leaves;
  tree.Branch("leaves", &leaves, "id/I:x/F:y/F");
  Char_t text[16]; tree.Branch("text", text, "text/C");
  std::string str; TString tstring; tree.Branch("string", &str); tree.Branch("tstring", "TString", &tstring);
  std::vector<float> vf; std::vector<double> vd; std::vector<int> vi; std::vector<short> vs; std::vector<unsigned char> vuc; std::vector<unsigned long> vul; std::vector<bool> vb; std::vector<long> vl;
  tree.Branch("vector_float", &vf); tree.Branch("vector_double", &vd); tree.Branch("vector_int", &vi); tree.Branch("vector_short", &vs);
  tree.Branch("vector_uchar", &vuc); tree.Branch("vector_ulong", &vul); tree.Branch("vector_bool", &vb); tree.Branch("vector_long", &vl);
  std::vector<std::vector<float>> vv; std::vector<std::string> vstr; tree.Branch("vector_vector", &vv); tree.Branch("vector_string", &vstr);
  std::set<int> set; tree.Branch("set", &set);
  TLorentzVector whole, parted; tree.Branch("lorentz", "TLorentzVector", &whole, 32000, 0); tree.Branch("lorentz_split", "TLorentzVector", &parted, 32000, 99);
  TObjString object; tree.Branch("object", "TObjString", &object, 32000, 0);
  Int_t y; tree.Branch("y", &y, "y/I");
  for (int e = 0; e < 12; ++e) {
    c = e - 6; uc = 250 - e; s = -300 * e; us = 60000 - e; i = -70000 * e; ui = 4000000000u - e; l = -(1ll << 40) * e; ul = (1ull << 63) + e; g = 3 * e; ug = 7 * e;
    f = 0.5 * e; d = 1e10 / (e + 1); b = e % 3 == 0; f16 = e / 4.; d32 = e / 8.; d32bits = e * 7.;
    for (int k = 0; k < 3; ++k) fixed[k] = e * k;
    for (int k = 0; k < 4; ++k) matrix[k / 2][k % 2] = e + k / 4.;
    flags[0] = e % 2; flags[1] = true;
    n = e % 4; vf.clear(); vd.clear(); vi.clear(); vs.clear(); vuc.clear(); vul.clear(); vb.clear(); vl.clear(); vv.clear(); vstr.clear(); set.clear();
    for (int k = 0; k < n; ++k) {
      jagged[k] = e + k / 2.; jagged16[k] = e - k; pairs[k][0] = k; pairs[k][1] = e;
      vf.push_back(e + k / 2.); vd.push_back(e - k / 2.); vi.push_back(-e * k); vs.push_back(k - e); vuc.push_back(200 + k); vul.push_back(1ul << (30 + k)); vb.push_back(k % 2); vl.push_back(-k);
      vv.push_back({float(k), float(e)}); vstr.push_back("a"); set.insert(k);
    }
    leaves.id = e; leaves.x = e / 2.; leaves.y = -e;
    snprintf(text, sizeof text, "event %d", e); str = text; tstring = text; object.SetString(text);
    whole.SetPtEtaPhiM(e + 1, 0, 0, 1); parted = whole; y = e % 2;
    tree.Fill();
  }
  tree.Write(); file.Close();
}
void kinds_ntuple(const char *path) {
  using namespace ROOT;
  auto model = RNTupleModel::Create();
  auto i8 = model->MakeField<std::int8_t>("int8"); auto u64 = model->MakeField<std::uint64_t>("uint64"); auto b = model->MakeField<bool>("bool");
  auto f = model->MakeField<float>("float32"); auto d = model->MakeField<double>("float64"); auto d32 = model->MakeField<Double32_t>("double32");
  auto ch = model->MakeField<char>("char"); auto by = model->MakeField<std::byte>("byte");
  auto fixed = model->MakeField<std::array<float, 3>>("fixed"); auto matrix = model->MakeField<std::array<std::array<double, 2>, 2>>("matrix");
  auto vf = model->MakeField<std::vector<float>>("vector_float"); auto vb = model->MakeField<std::vector<bool>>("vector_bool"); auto vi = model->MakeField<std::vector<std::int16_t>>("vector_short");
  auto rv = model->MakeField<ROOT::RVec<double>>("rvec"); auto vv = model->MakeField<std::vector<std::vector<float>>>("vector_vector");
  auto s = model->MakeField<std::string>("string"); auto vs = model->MakeField<std::vector<std::string>>("vector_string");
  auto pair = model->MakeField<std::pair<float, int>>("pair"); auto vp = model->MakeField<std::vector<std::pair<float, int>>>("vector_pair");
  auto opt = model->MakeField<std::optional<float>>("optional"); auto var = model->MakeField<std::variant<int, float>>("variant");
  auto y = model->MakeField<std::int32_t>("y"); auto bits = model->MakeField<std::bitset<8>>("bitset"); auto at = model->MakeField<std::atomic<int>>("atomic");
  auto writer = RNTupleWriter::Recreate(std::move(model), "events", path);
  for (int e = 0; e < 12; ++e) {
    *i8 = e - 6; *u64 = (1ull << 63) + e; *b = e % 3 == 0; *f = e / 2.; *d = 1e10 / (e + 1); *d32 = e / 8.; *ch = 'a' + e; *by = std::byte(e);
    *fixed = {float(e), 1, 2}; (*matrix)[0] = {double(e), 1}; (*matrix)[1] = {2, e / 2.};
    vf->clear(); vb->clear(); vi->clear(); rv->clear(); vv->clear(); vs->clear(); vp->clear();
    for (int k = 0; k < e % 4; ++k) { vf->push_back(e + k / 2.); vb->push_back(k % 2); vi->push_back(k - e); rv->push_back(k / 2.); vv->push_back({float(k), float(e)}); vs->push_back("a"); vp->push_back({float(k), e}); }
    *s = "event"; pair->first = e; pair->second = -e; *opt = e % 2 ? std::optional<float>(e) : std::nullopt; if (e % 2) *var = e; else *var = float(e); *y = e % 2; *bits = e; *at = e;
    writer->Fill();
  }
}
